import { describe, expect, it } from 'vitest';
import type { TwinkleError } from '../../../src/errors.js';
import { NdArray } from '../../../src/work/nd-array.js';
import { Given, Late } from '../../../src/work/portable.js';
import { encode } from '../../../src/work/portable-writer.js';

class Own {
  readonly a = 1;
}

function refused(value: unknown, name?: string): TwinkleError {
  try {
    encode(value, () => null, name);
  } catch (error) {
    return error as TwinkleError;
  }
  throw new Error('it was packed');
}

describe('what cannot travel', () => {
  const loop: unknown[] = [];
  loop.push({ again: loop });
  it.each<[string, unknown, string, RegExp]>([
    [
      'an instance of a class',
      [1, 2, { config: new Own() }],
      'value[2].config',
      /a Own is no plain data; make it a plain/,
    ],
    ['a date', { 'a b': [new Date(0)] }, 'value["a b"][0]', /send toISOString\(\) or getTime\(\)/],
    ['a set', [[new Set()]], 'value[0][0]', /make it an array/],
    ['a promise', { p: Promise.resolve() }, 'value.p', /await it first/],
    ['a function', { $f: () => 1 }, 'value.$f', /it is a function; send data/],
    ['a symbol', [Symbol('s')], 'value[0]', /it is a symbol/],
    ['a long number', { n: 2n ** 64n }, 'value.n', /more than 64 bits; send it as a string/],
    ['a long negative number', -(2n ** 63n) - 1n, 'value', /more than 64 bits/],
    ['half a surrogate pair', ['\ud800'], 'value[0]', /half a surrogate pair/],
    [
      'half a surrogate pair as a key',
      { a: { 'x\udc00': 1 } },
      'value.a',
      /its key "x\\udc00": it has half a surrogate/,
    ],
    ['a key that is no string', { m: new Map([[1, 2]]) }, 'value.m', /its key 1 is a number; make its keys strings/],
    ['a map with a bad value', new Map([['k', [new Own()]]]), 'value.k[0]', /a Own/],
    ['clamped bytes', [new Uint8ClampedArray(2)], 'value[0]', /a Uint8ClampedArray is no plain data; make its bytes a/],
    ['a DataView', [new DataView(new ArrayBuffer(1))], 'value[0]', /make its bytes a Uint8Array/],
    ['what has no constructor', [Object.create(Object.create(null))], 'value[0]', /a object is no plain data/],
    ['what holds itself', loop, `value${'[0].again'.repeat(100)}`, /more than 200 levels deep, or holds itself/],
  ])('%s is refused, with the path to it', (_what, value, path, message) => {
    const error = refused(value);
    expect(error).toMatchObject({ code: 'SERIALIZATION', details: { path } });
    expect(error.message).toMatch(message);
    expect(error.message).toContain(`cannot send \`${path}\``);
  });

  it('is called as its sender says', () => {
    expect(refused([new Own()], 'args').message).toContain('`args[0]`');
  });

  it('does not hide errors of the program', () => {
    const broken = {
      get a(): never {
        throw new RangeError('mine');
      },
    };
    expect(() => encode(broken, () => null)).toThrow(RangeError);
  });
});

describe('what travels', () => {
  it.each([Uint8Array.of(1, 2), Buffer.from([1, 2])])('is raw where it is bytes, without a copy', (bytes) => {
    expect(encode(bytes, () => null)).toEqual({ format: 'raw', head: bytes, buffers: [] });
    expect(encode(bytes, () => null).head).toBe(bytes);
  });

  it('lies beside the head where it is an array of more than 512 bytes, as memory of the value itself', () => {
    const small = new Float64Array(64);
    const large = new Float64Array(70).subarray(5);
    const { buffers } = encode({ small, large, again: [new NdArray(large, [5, 13])] }, () => null);
    expect(buffers).toHaveLength(2);
    for (const buffer of buffers) {
      expect(buffer.buffer).toBe(large.buffer);
      expect([buffer.byteOffset, buffer.byteLength]).toEqual([40, 520]);
    }
  });

  it('is not what the packer has used again', () => {
    const first = encode(['a', Int8Array.of(1)], () => null).head;
    const text = Buffer.from(first).toString('hex');
    for (let count = 0; count < 500; count++) encode(['x'.repeat(count), Int8Array.of(2)], () => null);
    expect(Buffer.from(first).toString('hex')).toBe(text);
  });

  it.each([
    [0, '000000'],
    [258, '000102'],
    [70_000, '011170'],
  ])('has the place of a reference among arguments: %i', (at, hex) => {
    expect(Buffer.from(encode(new Given(at), () => null).head).toString('hex')).toBe(`c70331${hex}`);
  });

  it('has the id of a reference that each life asks for', () => {
    const { head } = encode(new Late(new Own()), () => ['ref', '12.5']);
    expect(Buffer.from(head).toString('latin1')).toBe('\xd6\x3412.5');
  });
});
