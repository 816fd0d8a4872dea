import TypeBox from 'typebox';
import { expect, it } from 'vitest';
import { Type } from '../../src/protocol/type.js';

const build = (T: Pick<typeof TypeBox, keyof typeof Type>): Record<string, unknown> => ({
  array: T.Array(T.Integer({ minimum: 0 }), { maxItems: 3, description: 'some' }),
  scalars: [
    T.Boolean(),
    T.Number({ default: 1 }),
    T.String({ minLength: 1 }),
    T.Null(),
    T.Unknown({ description: 'any' }),
  ],
  literals: [T.Literal('a'), T.Literal(1), T.Literal(true)],
  object: T.Object(
    { a: T.String(), b: T.Optional(T.Integer({ description: 'may be' })) },
    { $id: 'X', additionalProperties: false },
  ),
  empty: T.Object({}),
  allOptional: T.Object({ a: T.Optional(T.Null()) }),
  record: T.Record(T.String(), T.Unknown(), { description: 'named' }),
  ref: T.Ref('X', { description: 'there' }),
  tuple: T.Tuple([T.Integer(), T.String()]),
  union: T.Union([T.String(), T.Null()], { description: 'or nothing' }),
});

it('builds the same JSON Schema as TypeBox', () => {
  const ours = JSON.parse(JSON.stringify(build(Type))) as Record<string, unknown>;
  const theirs = JSON.parse(JSON.stringify(build(TypeBox))) as Record<string, unknown>;
  for (const [name, schema] of Object.entries(theirs)) expect(ours[name], name).toEqual(schema);
});
