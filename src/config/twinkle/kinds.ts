/** What `import_path` may say. Apart from the schema, which a start need not load. */
export const KINDS = ['server', 'model', 'sampler', 'processor'] as const;

/** Whether these are the `applications` of such a file. */
export function areApplications(written: unknown): boolean {
  const kinds: readonly unknown[] = KINDS;
  const items: unknown[] = Array.isArray(written) ? written : [];
  return items.some((item) => kinds.includes((item as { import_path?: unknown } | null)?.import_path));
}
