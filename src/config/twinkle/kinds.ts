/** What `import_path` may say. Apart from the schema, which a start need not load. */
export const KINDS = ['server', 'model', 'sampler', 'processor'] as const;
