/** Defaults in, and text where a number or a switch belongs read as one: variables of the environment are text, and so is `"8000"`. Pure. */
import type { SchemaNode } from '../../util/describe-schema.js';
import { isItems, isMap, type Located, type Scalar } from '../yaml-tree.js';

/** The keywords that matter here. */
export interface FileSchema extends SchemaNode {
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, FileSchema>>;
  readonly items?: FileSchema;
  readonly anyOf?: readonly FileSchema[];
}

/** The tree with what its schema adds. What does not fit it stays as it is: judging is `validate.ts`'. */
export function complete(schema: FileSchema, located: Located): Located {
  const { origin, value } = located;
  const { properties, items } = schema;
  if (value === null && !takesNull(schema) && schema.default !== undefined)
    return complete(schema, locatedDefault(schema.default, origin.name));
  if (isMap(value)) {
    const branch = properties === undefined ? branchOf(schema, 'object') : schema;
    if (branch?.properties === undefined) return located;
    const filled = new Map<string, Located>();
    for (const [key, field] of Object.entries(branch.properties)) {
      const name = origin.name === '' ? key : `${origin.name}.${key}`;
      const written = value.get(key) ?? (field.default === undefined ? null : locatedDefault(field.default, name));
      if (written !== null) filled.set(key, complete(field, written));
    }
    for (const [key, item] of value) if (!filled.has(key)) filled.set(key, item);
    return { origin, value: filled };
  }
  if (isItems(value)) {
    const branch = items === undefined ? branchOf(schema, 'array') : schema;
    return { origin, value: value.map((item) => (branch?.items === undefined ? item : complete(branch.items, item))) };
  }
  return { origin, value: typeof value === 'string' ? readText(schema, value) : value };
}

function takesNull({ anyOf }: FileSchema): boolean {
  return anyOf?.some(({ type }) => type === 'null') ?? false;
}

function branchOf({ anyOf }: FileSchema, type: string): FileSchema | null {
  return anyOf?.find((branch) => branch.type === type) ?? null;
}

function locatedDefault(value: unknown, name: string): Located {
  const origin = { source: 'default', name, at: null } as const;
  if (Array.isArray(value)) return { origin, value: value.map((item, at) => locatedDefault(item, `${name}[${at}]`)) };
  if (typeof value !== 'object' || value === null) return { origin, value: value as Scalar };
  const entries = Object.entries(value).map(([key, item]) => [key, locatedDefault(item, `${name}.${key}`)] as const);
  return { origin, value: new Map(entries) };
}

const WORDS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', '1'].map((word) => [word, true] as const),
  ...['false', 'no', 'off', '0'].map((word) => [word, false] as const),
]);

/** What text says of a switch, as YAML 1.1 and pydantic read it; null: nothing. */
export function readTruth(text: string): boolean | null {
  return WORDS.get(text.trim().toLowerCase()) ?? null;
}

/** What text says as a number; null: nothing. */
export function readNumber(text: string): number | null {
  return /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i.test(text) ? Number(text) : null;
}

/** Text stays text wherever text may be. */
function readText(schema: FileSchema, text: string): Scalar {
  const branches = schema.anyOf ?? [schema];
  if (branches.some(({ type, const: word }) => type === 'string' && (word === undefined || word === text))) return text;
  for (const { type } of branches) {
    const number = type === 'integer' || type === 'number' ? readNumber(text) : null;
    const truth = type === 'boolean' ? readTruth(text) : null;
    if (number !== null || truth !== null) return number ?? truth;
  }
  return text;
}
