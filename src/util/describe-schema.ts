/** JSON Schema in words, for error messages: "an integer from 0 to 20", "a string or an array of strings". */

/** The keywords that our request schemas use. */
export interface SchemaNode {
  /** Says it better than the keywords would. */
  readonly title?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly minItems?: number;
}

const ARTICLES: Readonly<Record<string, readonly [string, string]>> = {
  integer: ['an integer', 'integers'],
  number: ['a number', 'numbers'],
  string: ['a string', 'strings'],
  boolean: ['true or false', 'booleans'],
  object: ['an object', 'objects'],
  null: ['null', 'nulls'],
};

function range({ minimum, maximum, exclusiveMinimum }: SchemaNode): string {
  const low = minimum === undefined ? '' : `from ${minimum}`;
  const above = exclusiveMinimum === undefined ? low : `above ${exclusiveMinimum}`;
  // A bound that only keeps integers exact says nothing to people.
  const high = maximum === undefined || maximum >= 2 ** 31 - 1 ? '' : `${above === '' ? 'up' : ''} to ${maximum}`;
  const open = high === '' && low !== '' && above === low ? `of ${minimum} or more` : above;
  const text = `${open}${high}`.trim();
  return text === '' || (minimum !== undefined && minimum <= -(2 ** 31)) ? '' : ` ${text}`;
}

/** One phrase; `null` alternatives are left out, because leaving a field out says the same. */
export function describeSchema(schema: SchemaNode, plural = false): string {
  const { anyOf, items, title, type } = schema;
  if (title !== undefined) return title;
  if (anyOf !== undefined) {
    const options = anyOf.filter((option) => option.type !== 'null').map((option) => describeSchema(option, plural));
    return [...new Set(options)].join(' or ');
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (type === 'array') {
    const of = items === undefined ? 'values' : describeSchema(items, true);
    const size = schema.minItems === undefined || schema.minItems === 0 ? '' : 'non-empty ';
    const article = size === '' ? 'an ' : 'a ';
    return plural ? `${size}arrays of ${of}` : `${article}${size}array of ${of}`;
  }
  const words = type === undefined ? undefined : ARTICLES[type];
  if (words === undefined) return plural ? 'values' : 'a value';
  const named = words[plural ? 1 : 0] as string;
  const filled = type === 'string' && (schema.minLength ?? 0) > 0 ? named.replace('string', 'non-empty string') : named;
  return `${filled}${range(schema)}`;
}

const SHOWN_CHARS = 60;

/** A received value, short enough for a message. */
export function describeValue(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  if (text.length <= SHOWN_CHARS) return text;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  return typeof value === 'object' ? 'an object' : `${text.slice(0, SHOWN_CHARS)}…`;
}
