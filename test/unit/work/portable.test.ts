import { Packr } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { NdArray } from '../../../src/work/nd-array.js';
import { decode, mayView, type Payload } from '../../../src/work/portable.js';
import { encode } from '../../../src/work/portable-writer.js';
import { randomFrom } from '../../support/random.js';

class Stand {
  constructor(readonly payload: Payload) {}
}

const escaped = (value: object) => (value instanceof Stand ? value.payload : null);
const load = (payload: Payload) => new Stand(payload);

/** There and back: as frames do it, in memory of somebody else, at any alignment. */
function back(value: unknown, shift = 0): unknown {
  const { format, head, buffers } = encode(value, escaped);
  const parts = [head, ...buffers].map((part) => {
    const memory = new Uint8Array(part.byteLength + shift);
    memory.set(part, shift);
    return memory.subarray(shift);
  });
  return decode(format, parts, load);
}

const PLAIN: unknown[] = [
  ...[null, true, false, '', 'é', '😀', '__proto__', -0, 0, Number.NaN, Number.NEGATIVE_INFINITY, 2 ** 53 - 1],
  ...[-(2 ** 53) + 1, 2 ** 32, -(2 ** 31) - 1, 2n ** 64n - 1n, -(2n ** 63n), 1e300, 0.1],
];

function valueFrom(random: () => number, depth: number): unknown {
  const below = (count: number): number => Math.floor(random() * count);
  const kind = below(depth > 3 ? 6 : 9);
  if (kind < 2) return PLAIN[below(PLAIN.length)];
  if (kind === 2) return Math.round((random() - 0.5) * 2 ** below(54));
  if (kind === 3) return Uint8Array.from({ length: below(50) }, () => below(256));
  if (kind === 4) {
    const shape = [below(4), below(40), 1] as const;
    const numbers = Array.from({ length: shape[0] * shape[1] }, () => below(99));
    const kinds = [Float64Array.from(numbers), Int16Array.from(numbers), Float32Array.from(numbers)] as const;
    return new NdArray(kinds[below(3)] ?? kinds[0], shape);
  }
  if (kind === 5)
    return new Stand(random() < 0.5 ? ['ref', `${below(99)}.1`] : ['actor', `${below(99)}.2`, { id: 'x' }]);
  const items = Array.from({ length: below(8) }, () => valueFrom(random, depth + 1));
  if (kind === 6) return items;
  return Object.fromEntries(items.map((item, at) => [below(20) === 0 ? '__proto__' : `key ${at}`, item]));
}

/** Actors are told apart by what their cards say. */
function asRead(value: unknown): unknown {
  if (value instanceof Stand)
    return value.payload[0] === 'ref' ? value : new Stand(['actor', 'x', value.payload[2] as object]);
  if (Array.isArray(value)) return value.map(asRead);
  if (value instanceof NdArray || value instanceof Uint8Array || typeof value !== 'object' || value === null)
    return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, asRead(item)]));
}

describe('a value', () => {
  it.each(Array.from({ length: 150 }, (_, seed) => seed))('comes back as it was: chance %i', (seed) => {
    const random = randomFrom(seed);
    const value = valueFrom(random, 0);
    const read = back(value, Math.floor(random() * 9));
    expect(read).toStrictEqual(asRead(value));
  });

  it('keeps -0, which is another number than 0', () => {
    expect(back(-0)).toBe(-0);
    expect(back([-0, 0])).toStrictEqual([-0, 0]);
    // Across the end of the packer's memory, too.
    const many = Array.from({ length: 5000 }, (_, at) => (at % 3 === 0 ? -0 : at));
    expect(back(many)).toStrictEqual(many);
  });

  it('may have every key, and none reaches a prototype', () => {
    const value: unknown = JSON.parse('{"a": [{"__proto__": {"polluted": 1}, "hasOwnProperty": 2}], "__proto_": 3}');
    const read = back(value) as { readonly a: readonly object[] };
    expect(JSON.stringify(read)).toBe(JSON.stringify(value));
    expect(Object.getPrototypeOf(read.a[0])).toBe(Object.prototype);
    expect(Object.keys(read.a[0] as object)).toEqual(['__proto__', 'hasOwnProperty']);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  it('with `__proto__` somewhere has arrays, references and bytes as any other', () => {
    const value = ['__proto__', { ref: load(['ref', '1.2']), array: new Float64Array(100), bytes: Uint8Array.of(1) }];
    expect(back(value)).toStrictEqual([
      '__proto__',
      { ref: load(['ref', '1.2']), array: new NdArray(new Float64Array(100)), bytes: Uint8Array.of(1) },
    ]);
  });

  it('leaves out what is undefined, which is null in arrays', () => {
    expect(back({ a: undefined, b: [undefined], c: new Map([['d', undefined]]) })).toStrictEqual({ b: [null], c: {} });
    expect(back(undefined)).toBe(null);
  });

  it('may be 200 levels deep, and as wide as one likes', () => {
    let deep: unknown = 1;
    for (let level = 0; level < 200; level++) deep = level % 2 === 0 ? [deep] : { deep };
    expect(back(deep)).toStrictEqual(deep);
    const wide = Array.from({ length: 100_000 }, (_, at) => at);
    expect(back(wide)).toStrictEqual(wide);
  });

  it('may hold one thing twice', () => {
    const once = { a: 1 };
    expect(back([once, once])).toStrictEqual([{ a: 1 }, { a: 1 }]);
  });

  it('reads another inside of its own references', () => {
    const inner = encode([Float64Array.from({ length: 99 }, () => 7)], escaped);
    const outer = encode([load(['ref', '1.1']), new Float32Array(200)], escaped);
    const read = decode('msgpack', [outer.head, ...outer.buffers], () =>
      decode('msgpack', [inner.head, ...inner.buffers], load),
    );
    expect(read).toEqual([[new NdArray(new Float64Array(99).fill(7))], new NdArray(new Float32Array(200))]);
  });
});

describe('what was read', () => {
  it('has copies of small arrays and of bytes: what they came in may go', () => {
    const { head } = encode([Uint8Array.of(1, 2), Int16Array.of(3), load(['ref', '1.1'])], escaped);
    const memory = new Uint8Array(head);
    const read = decode('msgpack', [memory], load);
    memory.fill(0);
    expect(read).toStrictEqual([Uint8Array.of(1, 2), new NdArray(Int16Array.of(3)), load(['ref', '1.1'])]);
    expect(mayView('msgpack', [memory])).toBe(false);
  });

  it('has large arrays where they lie', () => {
    const { head, buffers } = encode([new Float64Array(100)], escaped);
    expect(buffers[0]?.byteLength).toBe(800);
    const [array] = decode('msgpack', [head, ...buffers], load) as [NdArray];
    expect(array.data.buffer).toBe(buffers[0]?.buffer);
    expect(mayView('msgpack', [head, ...buffers])).toBe(true);
    expect(mayView('raw', [head])).toBe(true);
  });
});

describe('what cannot be read', () => {
  const packr = new Packr({ useRecords: false });
  const refused = (format: string, parts: Uint8Array[]) => {
    const read = () => decode(format, parts, load);
    expect(read).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }));
    return expect(read);
  };

  it('is a pickle', () => {
    refused('pickle', [Uint8Array.of(128, 5)]).toThrow('received a Python pickle: hand the reference to a task');
  });

  it('is too little, or too much', () => {
    refused('msgpack', [Uint8Array.of(0x92, 1)]).toThrow('cannot be read');
    refused('msgpack', [Uint8Array.of(1, 1)]).toThrow('cannot be read');
  });

  it('is an array of a buffer that is not there, or of a strange type', () => {
    const { head } = encode([new Float64Array(100)], escaped);
    refused('msgpack', [head]).toThrow('an array names buffer 0, which is not there');
    const form = packr.pack({ dtype: '|O', shape: [1], data: Buffer.alloc(8) });
    refused('msgpack', [Buffer.concat([Uint8Array.of(0xc7, form.byteLength, 48), form])]).toThrow('`dtype`');
  });

  it.each([49, 52, 53])('is a part of arguments: extension %i', (code) => {
    refused('msgpack', [Uint8Array.of(0xd5, code, 0, 0)]).toThrow('expected a value but received a part of arguments');
  });
});
