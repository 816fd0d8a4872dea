import { describe, expect, it } from 'vitest';
import {
  fromNumpy,
  isNumbers,
  NdArray,
  type NdArrayData,
  type NdArrayDtype,
  numpyName,
} from '../../../src/work/nd-array.js';

const KINDS: [NdArrayDtype, NdArrayData, string][] = [
  ['int8', Int8Array.of(-1), '|i1'],
  ['uint8', Uint8Array.of(1), '|u1'],
  ['int16', Int16Array.of(-1), '<i2'],
  ['uint16', Uint16Array.of(1), '<u2'],
  ['int32', Int32Array.of(-1), '<i4'],
  ['uint32', Uint32Array.of(1), '<u4'],
  ['int64', BigInt64Array.of(-1n), '<i8'],
  ['uint64', BigUint64Array.of(1n), '<u8'],
  ['float32', Float32Array.of(1.5), '<f4'],
  ['float64', Float64Array.of(1.5), '<f8'],
];
const bytesOf = (data: NdArrayData) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

describe('an array', () => {
  it.each(KINDS)('of %s has one dimension and the type of its data, if nothing else is said', (dtype, data, numpy) => {
    const array = new NdArray(data);
    expect(array).toMatchObject({ shape: [1], dtype });
    expect(numpyName(dtype)).toBe(numpy);
    expect(fromNumpy(numpy, [1], bytesOf(data))).toEqual(array);
    expect(isNumbers(data)).toBe(dtype !== 'uint8'); // those are bytes
  });

  it('may be of booleans and of half floats, when that is said', () => {
    expect(new NdArray(Uint8Array.of(1, 0), [2], 'bool').dtype).toBe('bool');
    expect(new NdArray(Uint16Array.of(0x3c00), [1, 1], 'float16').shape).toEqual([1, 1]);
  });

  it('keeps a shape of its own', () => {
    const shape = [2, 1];
    const array = new NdArray(Int8Array.of(1, 2), shape);
    shape[0] = 9;
    expect(array.shape).toEqual([2, 1]);
  });

  it.each([
    [Int8Array.of(1), [2], undefined, 'expected 2 elements for shape [2] for `data` but received 1'],
    [Int8Array.of(1), [-1], undefined, 'expected whole numbers ≥ 0 for `shape` but received [-1]'],
    [Int8Array.of(1), [0.5], undefined, 'expected whole numbers ≥ 0 for `shape` but received [0.5]'],
    [Int8Array.of(1), [1], 'bool', 'expected a Uint8Array of bool for `data` but received Int8Array'],
    [Int8Array.of(1), [1], 'int4', 'for `dtype` but received int4'],
    [Int8Array.of(1), [1], 'toString', 'for `dtype` but received toString'],
    [new Uint8ClampedArray(1), undefined, undefined, 'expected a typed array of numbers for `data`'],
  ])('that does not fit is refused: %s of shape %s, %s', (data, shape, dtype, message) => {
    const make = () => new NdArray(data as NdArrayData, shape, dtype as NdArrayDtype | undefined);
    expect(make).toThrow(message);
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});

describe('an array from elsewhere', () => {
  it('is a view where its bytes are aligned for it, and a copy where they are not', () => {
    const memory = new Uint8Array(32);
    const view = fromNumpy('<f8', [1], memory.subarray(8, 16)) as NdArray;
    const copy = fromNumpy('<f8', [1], memory.subarray(9, 17)) as NdArray;
    new Float64Array(memory.buffer)[1] = 2.5;
    expect(view.data[0]).toBe(2.5);
    expect(copy.data[0]).toBe(0);
    expect((fromNumpy('<f8', [1], Buffer.from(memory.buffer, 9, 8)) as NdArray).data).toHaveLength(1);
  });

  it.each([
    ['|b1', [0], false],
    ['|b1', [1], true],
    ['<i4', [255, 255, 255, 255], -1],
    ['<f8', [0, 0, 0, 0, 0, 0, 0, 128], -0],
    ['<i8', [1, 0, 0, 0, 0, 0, 0, 0], 1],
    ['<i8', [0, 0, 0, 0, 0, 0, 0, 128], -(2n ** 63n)],
    ['<u8', [255, 255, 255, 255, 255, 255, 255, 255], 2n ** 64n - 1n],
    ['<f2', [0, 0x3c], 1],
    ['<f2', [1, 0], 2 ** -24],
    ['<f2', [0xff, 3], 1023 * 2 ** -24],
    ['<f2', [0xff, 0x7b], 65504],
    ['<f2', [0, 0x80], -0],
    ['<f2', [0, 0xfc], Number.NEGATIVE_INFINITY],
    ['<f2', [1, 0x7c], Number.NaN],
    ['<f2', [0x55, 0xb5], -0.333251953125],
  ])('is a plain value where it is a scalar: %s %s', (numpy, bytes, value) => {
    expect(fromNumpy(numpy, [], Uint8Array.from(bytes))).toBe(value);
  });

  it('of a strange type, or of a wrong size, is refused', () => {
    expect(() => fromNumpy('|O', [1], new Uint8Array(8))).toThrow('for `dtype` but received |O');
    expect(() => fromNumpy('<i4', [2], new Uint8Array(4))).toThrow('expected 2 elements');
    expect(() => fromNumpy('<i4', [], new Uint8Array(0))).toThrow('expected 1 elements');
  });
});
