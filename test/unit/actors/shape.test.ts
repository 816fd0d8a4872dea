import { describe, expect, it } from 'vitest';
import { ASKS, isMethod, TELLS } from '../../../src/actors/methods.js';
import { shaped } from '../../../src/actors/shape.js';
import { Type } from '../../../src/protocol/type.js';
import { demandOf } from './played-client.js';

const Row = Type.Object({
  n: Type.Integer(),
  texts: Type.Array(Type.String()),
  amounts: Type.Record(Type.String(), Type.Number()),
  maybe: Type.Union([Type.Object({ yes: Type.Boolean() }), Type.Null()]),
  kind: Type.Literal('row'),
  any: Type.Unknown(),
  more: Type.Optional(Type.Integer()),
});
const ROW = { n: 1, texts: ['a'], amounts: { CPU: 0.5 }, maybe: null, kind: 'row', any: undefined };

describe('shapes', () => {
  it('lets through what fits, the very same, with fields that nobody named', () => {
    const row = { ...ROW, maybe: { yes: true }, more: 2, other: 1 };
    expect(shaped(Row, row, 'row')).toBe(row);
    expect(shaped(Type.Object({}), {}, 'nothing')).toEqual({});
  });

  it.each<[unknown, RegExp]>([
    [null, /a map for `row` but received null/],
    [[], /a map for `row` but received a list/],
    [new Map(), /received something else/],
    [{ ...ROW, n: undefined }, /whole number for `row.n` but received undefined/],
    [{ ...ROW, n: 1.5 }, /whole number for `row.n` but received 1.5/],
    [{ ...ROW, n: 2 ** 60 }, /whole number for `row.n`/],
    [{ ...ROW, n: '1' }, /received "1"/],
    [{ ...ROW, texts: 'a' }, /a list for `row.texts`/],
    [{ ...ROW, texts: ['a', 1] }, /a string for `row.texts.1` but received 1/],
    [{ ...ROW, amounts: { CPU: Number.NaN } }, /a number for `row.amounts.CPU` but received NaN/],
    [{ ...ROW, amounts: [] }, /a map for `row.amounts`/],
    [{ ...ROW, maybe: { yes: 1 } }, /a boolean for `row.maybe.yes`/],
    [{ ...ROW, kind: 'other' }, /"row" for `row.kind`/],
    [{ ...ROW, more: 'x' }, /whole number for `row.more`/],
    [Object.fromEntries(Object.entries(ROW).filter(([key]) => key !== 'texts')), /`row.texts` but received nothing/],
    [Object.create({ n: 1 }), /something else/],
  ])('refuses %o with what it expected', (value, message) => {
    expect(() => shaped(Row, value, 'row')).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringMatching(message) }),
    );
  });

  it('can check the parameters of every method', () => {
    for (const schema of [...Object.values(ASKS), ...Object.values(TELLS)]) {
      expect(() => shaped(schema, 7, 'params')).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
    }
    expect(shaped(ASKS.lease, demandOf(), 'lease')).toEqual(demandOf());
  });

  it('knows no method by a name that every object has', () => {
    expect(['lease', 'constructor', '__proto__', 'toString'].map((name) => isMethod(ASKS, name))).toEqual([
      true,
      false,
      false,
      false,
    ]);
  });
});
