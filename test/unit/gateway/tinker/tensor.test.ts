import { expect, it } from 'vitest';
import { denseTensor } from '../../../../src/gateway/tinker/tensor.js';
import type { WireTensor } from '../../../../src/protocol/tinker/forward-backward-request.js';

const tensor = (changes: Partial<WireTensor>): WireTensor => ({
  dtype: 'float32',
  shape: [2, 3],
  dense: null,
  sparse: null,
  ...changes,
});
const floats = (...all: number[]): Uint8Array => new Uint8Array(Float32Array.from(all).buffer);
const longs = (...all: bigint[]): Uint8Array => new Uint8Array(BigInt64Array.from(all).buffer);
const csr = (values: Uint8Array, crow: bigint[], col: bigint[]) => ({
  values,
  crow: longs(...crow),
  col: longs(...col),
});

it('passes dense bytes on, and spreads sparse ones', () => {
  const dense = floats(1, 2, 3, 4, 5, 6);
  expect(denseTensor(tensor({ dense }), 'x').bytes).toBe(dense);
  const sparse = csr(floats(7, 8, 9), [0n, 2n, 3n], [0n, 2n, 1n]);
  expect(denseTensor(tensor({ sparse }), 'x').bytes).toEqual(floats(7, 0, 8, 0, 9, 0));
  const whole = csr(longs(5n), [0n, 0n, 1n], [2n]);
  expect(denseTensor(tensor({ dtype: 'int64', sparse: whole }), 'x').bytes).toEqual(longs(0n, 0n, 0n, 0n, 0n, 5n));
  expect(denseTensor(tensor({ shape: [0] }), 'x').bytes).toEqual(new Uint8Array(0));
});

it.each<[string, Partial<WireTensor>]>([
  ['24 bytes', { dense: floats(1, 2) }],
  ['24 bytes', {}],
  ['dtype float32 or int64', { dtype: 'bfloat16', dense: new Uint8Array(12) }],
  ['a shape of', { shape: [-1, 2] }],
  ['a shape of', { shape: [2 ** 31, 2 ** 31] }],
  ['a shape of', { shape: [Number.NaN] }],
  ['two dimensions', { shape: [6], sparse: csr(floats(1), [0n, 1n], [0n]) }],
  ['two dimensions', { sparse: csr(floats(1), [0n, 1n], [0n]) }],
  ['two dimensions', { sparse: csr(floats(1), [0n, 1n, 1n], []) }],
  ['row indices', { sparse: csr(floats(1), [0n, 2n, 1n], [0n]) }],
  ['row indices', { sparse: csr(floats(1, 2), [0n, 1n, 1n], [0n, 1n]) }],
  ['row indices', { sparse: csr(floats(1, 2), [0n, 2n, 1n], [0n, 1n]) }],
  ['columns of 0 to 2', { sparse: csr(floats(1), [0n, 1n, 1n], [3n]) }],
  ['columns of 0 to 2', { sparse: csr(floats(1), [0n, 1n, 1n], [-1n]) }],
])('refuses, saying that it expected %s: %j', (words, changes) => {
  expect(() => denseTensor(tensor(changes), 'data[0].x')).toThrow(words);
  expect(() => denseTensor(tensor(changes), 'data[0].x')).toThrow(expect.objectContaining({ param: 'data[0].x' }));
});
