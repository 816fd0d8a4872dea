/**
 * The schema builders of TypeBox that we use, as plain JSON Schema. TypeBox's types do the work at compile time; its 300 modules, a
 * quarter of a second of every start, are not loaded at run time. A contract test holds each builder equal to TypeBox's own.
 */
import type TypeBox from 'typebox';

export type { Static, TLiteral, TOptional, TProperties, TSchema, TUnknown } from 'typebox';

type Json = Record<string, unknown>;
type Builders = Pick<
  typeof TypeBox,
  | 'Array'
  | 'Boolean'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'Ref'
  | 'String'
  | 'Tuple'
  | 'Union'
  | 'Unknown'
>;

const OPTIONAL = '~optional';
/** Hidden from JSON and from comparison, as TypeBox does it. */
const mark = (schema: Json): Json => Object.defineProperty({ ...schema }, OPTIONAL, { value: true, enumerable: false });
const scalar =
  (type: string) =>
  (options: Json = {}): Json => ({ type, ...options });

const builders = {
  Array: (items: Json, options: Json = {}): Json => ({ type: 'array', items, ...options }),
  Boolean: scalar('boolean'),
  Integer: scalar('integer'),
  Literal: (value: unknown, options: Json = {}): Json => ({ type: typeof value, const: value, ...options }),
  Null: scalar('null'),
  Number: scalar('number'),
  Object: (properties: Record<string, Json>, options: Json = {}): Json => {
    const required = Object.keys(properties).filter((key) => properties[key]?.[OPTIONAL] !== true);
    return { type: 'object', ...(required.length > 0 ? { required } : {}), properties, ...options };
  },
  Optional: mark,
  Record: (_key: Json, value: Json, options: Json = {}): Json => ({
    type: 'object',
    patternProperties: { '^.*$': value },
    ...options,
  }),
  Ref: (name: string, options: Json = {}): Json => ({ $ref: name, ...options }),
  String: scalar('string'),
  Tuple: (items: Json[], options: Json = {}): Json => ({
    type: 'array',
    additionalItems: false,
    items,
    minItems: items.length,
    ...options,
  }),
  Union: (anyOf: Json[], options: Json = {}): Json => ({ anyOf, ...options }),
  Unknown: (options: Json = {}): Json => ({ ...options }),
};

/** The builders, typed as TypeBox's. `Record` takes string keys only. */
export const Type = builders as unknown as Builders;
