/** The portable form as fixed bytes, which Python's tests read as well: neither side changes it alone. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { NdArray, type NdArrayData, type NdArrayDtype } from '../../../src/work/nd-array.js';
import { decode, type Payload } from '../../../src/work/portable.js';
import { encode } from '../../../src/work/portable-writer.js';

interface Vector {
  readonly name: string;
  readonly format: string;
  readonly python: readonly string[];
  /** What Node packs. */
  readonly node: readonly string[] | null;
}

const VECTORS = JSON.parse(
  readFileSync(new URL('../../fixtures/portable-vectors.json', import.meta.url), 'utf8'),
) as Vector[];

class Stand {
  constructor(readonly payload: Payload) {}
}

const six = (dtype: NdArrayDtype, data: NdArrayData): [string, unknown] => [
  `array ${NUMPY[dtype]}`,
  new NdArray(data, [2, 3], dtype),
];
const NUMPY = {
  ...{ bool: '|b1', int8: '|i1', uint8: '|u1', int16: '<i2', uint16: '<u2', int32: '<i4', uint32: '<u4' },
  ...{ int64: '<i8', uint64: '<u8', float16: '<f2', float32: '<f4', float64: '<f8' },
};
const NUMBERS = [0, 1, 2, 3, 4, 5];
const BIG = [0n, 1n, 2n, 3n, 4n, 5n];
const bytes = (...values: number[]) => Uint8Array.from(values);
const card = { id: '9.1', cls_name: 'Counter', methods: {} };

/** Made by a parser, as JSON from elsewhere is: `__proto__` is a key of its own there. */
const NAMES: unknown = JSON.parse('{"__proto__": {"__proto__": 1}, "constructor": 2, "toString": null}');

/** The values of python-workers/tests/core/portable_vectors.py. */
const VALUES = new Map<string, unknown>([
  ['null', null],
  ['booleans', [true, false]],
  [
    'whole numbers',
    [
      ...[0, 1, -1, 127, 128, 255, 256, -32, -33, -128, -129, 65535, 65536, -32768, -32769],
      ...[2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 31), -(2 ** 31) - 1, 2 ** 53 - 1, 1 - 2 ** 53],
    ],
  ],
  ['64 bits', [2n ** 53n + 1n, -(2n ** 53n) - 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 63n, 2n ** 64n - 1n]],
  ['floats', [1.5, -0.1, 5e-324, Number.MAX_VALUE, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]],
  ['minus zero', [-0, { zero: -0 }]],
  ['not a number', Number.NaN],
  ['strings', ['', 'ascii', 'é', '漢字', '😀', '\0', 'x'.repeat(31), 'x'.repeat(32), 'ü'.repeat(300)]],
  ['bytes', bytes(0, 255, 128)],
  ['bytes inside', [bytes(), bytes(0, 255), { b: new Uint8Array(600).fill(122) }]],
  ['lists', [[], [[]], Array.from({ length: 20 }, (_, at) => at), Array(15).fill(null), Array(16).fill(null)]],
  [
    'maps',
    new Map<string, unknown>([
      ['', {}],
      ['a b', { é: 1 }],
      ['10', 'ten'],
      ['2', 'two'],
    ]),
  ],
  ['names of objects', NAMES],
  six('bool', Uint8Array.of(0, 1, 1, 1, 1, 1)),
  six('int8', Int8Array.from(NUMBERS)),
  six('uint8', Uint8Array.from(NUMBERS)),
  six('int16', Int16Array.from(NUMBERS)),
  six('uint16', Uint16Array.from(NUMBERS)),
  six('int32', Int32Array.from(NUMBERS)),
  six('uint32', Uint32Array.from(NUMBERS)),
  six('int64', BigInt64Array.from(BIG)),
  six('uint64', BigUint64Array.from(BIG)),
  six('float16', Uint16Array.of(0, 0x3c00, 0x4000, 0x4200, 0x4400, 0x4500)),
  six('float32', Float32Array.from(NUMBERS)),
  six('float64', Float64Array.from(NUMBERS)),
  [
    'array of one number',
    [
      new NdArray(Float64Array.of(1.5), []),
      new NdArray(Int32Array.of(-7), []),
      new NdArray(Uint8Array.of(1), [], 'bool'),
      new NdArray(BigUint64Array.of(2n ** 64n - 1n), []),
    ],
  ],
  ['empty array', new NdArray(new Float32Array(0), [2, 0, 3])],
  [
    'large arrays',
    [
      Float64Array.from({ length: 100 }, (_, at) => at),
      { b: new NdArray(Uint8Array.from({ length: 513 }, (_, at) => at)) },
    ],
  ],
  ['references', [new Stand(['ref', '3.14']), { actor: new Stand(['actor', '9.1', card]) }]],
]);

/** What is read is not what was sent: arrays have shapes, scalars are numbers, maps are objects. */
const READ = new Map<string, unknown>([
  ['array of one number', [1.5, -7, true, 2n ** 64n - 1n]],
  [
    'large arrays',
    [
      new NdArray(Float64Array.from({ length: 100 }, (_, at) => at)),
      { b: new NdArray(Uint8Array.from({ length: 513 }, (_, at) => at)) },
    ],
  ],
  ['maps', { '': {}, 'a b': { é: 1 }, 10: 'ten', 2: 'two' }],
]);

const partsOf = (parts: readonly string[]) => parts.map((part) => new Uint8Array(Buffer.from(part, 'base64')));

describe.each(VECTORS)('the vector $name', ({ name, format, python, node }) => {
  const value = VALUES.get(name);
  const wanted = READ.has(name) ? READ.get(name) : value;

  it('is packed to the same bytes as ever, which Python reads', () => {
    const { head, buffers, ...made } = encode(value, (found) => (found instanceof Stand ? found.payload : null));
    expect(made.format).toBe(format);
    expect([head, ...buffers].map((part) => Buffer.from(part).toString('base64'))).toEqual(node);
  });

  it.each([
    ['Python', python],
    ['Node', node ?? []],
  ])('is read from what %s packs', (_side, parts) => {
    const read = decode(format, partsOf(parts), (payload) => new Stand(payload));
    expect(read).toStrictEqual(wanted);
  });
});

it('every value has its vector', () => {
  expect(VECTORS.map(({ name }) => name)).toEqual([...VALUES.keys()]);
});
