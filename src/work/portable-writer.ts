/** JavaScript values packed as what travels. Says where in a value lies what cannot. Pure. */
import { TwinkleError } from '../errors.js';
import { isNumbers, NdArray, numpyName } from './nd-array.js';
import {
  ActorForm,
  ArrayForm,
  type Escape,
  Given,
  GivenForm,
  Late,
  LateForm,
  NEGATIVE_ZERO,
  type Packed,
  type Payload,
  packr,
  RefForm,
} from './portable.js';

/** Arrays up to so many bytes are part of the head. */
const SMALL_ARRAY = 512;
const DEEPEST = 200;
const HALF = 'it has half a surrogate pair and is no Unicode; send it as bytes';

/**
 * Pack a value: null, booleans, numbers, bigints of 64 bits, strings, bytes (`Uint8Array`, `Buffer`, `ArrayBuffer`), typed arrays, `NdArray`,
 * arrays, plain objects and Maps with string keys; and what `escaped` knows. `undefined` is null in arrays, and left out of objects.
 * @param name what errors call the value
 * @throws TwinkleError `SERIALIZATION` with the path of what cannot travel in `details`
 */
export function encode(value: unknown, escaped: Escape, name = 'value'): Packed {
  if (value instanceof Uint8Array) return { format: 'raw', head: value, buffers: [] };
  const writer = new Writer(escaped);
  try {
    return { format: 'msgpack', head: packr.pack(writer.plain(value)), buffers: writer.buffers };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const path = name + error.steps.reverse().join('');
    throw new TwinkleError('SERIALIZATION', `cannot send \`${path}\`: ${error.message}`, {
      details: { path, type: error.type },
    });
  }
}

/** Steps are added from the inside out, so that what can travel pays nothing for them. */
class Refused extends Error {
  readonly steps: string[] = [];

  constructor(
    readonly type: string,
    why: string,
  ) {
    super(why);
  }
}

class Writer {
  readonly buffers: Uint8Array[] = [];
  readonly #escape: Escape;
  #depth = 0;

  constructor(escaped: Escape) {
    this.#escape = escaped;
  }

  plain(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
        if (!value.isWellFormed()) throw new Refused('string', HALF);
        return value;
      case 'number':
        if (Object.is(value, -0)) return NEGATIVE_ZERO;
        // msgpackr writes whole numbers beyond 32 bits as floats.
        return Number.isSafeInteger(value) && (value > 0xffffffff || value < -0x80000000) ? BigInt(value) : value;
      case 'boolean':
        return value;
      case 'undefined':
        return null;
      case 'bigint':
        if (value < -(2n ** 63n) || value >= 2n ** 64n)
          throw new Refused('bigint', 'it has more than 64 bits; send it as a string');
        return value;
      case 'object':
        return value === null ? null : this.#object(value);
      default:
        throw new Refused(
          typeof value,
          `it is a ${typeof value}; send data, and name what Python has to call by its module`,
        );
    }
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return this.#within(() => this.#list(value));
    if (value instanceof Uint8Array) return value;
    if (value instanceof ArrayBuffer) return new Uint8Array(value);
    if (value instanceof NdArray) return this.#array(value);
    if (isNumbers(value)) return this.#array(new NdArray(value));
    if (value instanceof Given) return new GivenForm(Uint8Array.of(value.at >> 16, value.at >> 8, value.at));
    if (value instanceof Late) return new LateForm(Buffer.from(this.#reference(value.ref)[1]));
    if (value instanceof Map) return this.#within(() => this.#entries(value));
    const prototype = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null)
      return this.#within(() => this.#entries(Object.entries(value)));
    const [tag, id, card] = this.#reference(value);
    return tag === 'actor' ? new ActorForm(new Uint8Array(packr.pack(card))) : new RefForm(Buffer.from(id));
  }

  #within<T>(write: () => T): T {
    if (this.#depth >= DEEPEST)
      throw new Refused('object', `it is more than ${DEEPEST} levels deep, or holds itself; flatten it`);
    this.#depth += 1;
    try {
      return write();
    } finally {
      this.#depth -= 1;
    }
  }

  #list(list: readonly unknown[]): unknown[] {
    const plain = new Array<unknown>(list.length);
    for (let at = 0; at < list.length; at++) plain[at] = this.#step(list[at], () => `[${at}]`);
    return plain;
  }

  #entries(entries: Iterable<readonly [unknown, unknown]>): Map<string, unknown> {
    // A map, not an object: `__proto__` is a name as any other there.
    const plain = new Map<string, unknown>();
    for (const [key, item] of entries) {
      if (typeof key !== 'string')
        throw new Refused('Map', `its key ${String(key)} is a ${typeof key}; make its keys strings`);
      if (item === undefined) continue;
      if (!key.isWellFormed()) throw new Refused('string', `its key ${JSON.stringify(key)}: ${HALF}`);
      plain.set(
        key,
        this.#step(item, () => (/^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`)),
      );
    }
    return plain;
  }

  #step(item: unknown, where: () => string): unknown {
    try {
      return this.plain(item);
    } catch (error) {
      if (error instanceof Refused) error.steps.push(where());
      throw error;
    }
  }

  #array({ data, shape, dtype }: NdArray): ArrayForm {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const small = bytes.byteLength <= SMALL_ARRAY;
    const form = packr.pack({ dtype: numpyName(dtype), shape: [...shape], data: small ? bytes : this.buffers.length });
    if (!small) this.buffers.push(bytes);
    return new ArrayForm(new Uint8Array(form)); // the packer uses its memory again
  }

  #reference(value: object): Payload {
    const payload = this.#escape(value);
    if (payload !== null) return payload;
    const kind = value.constructor?.name ?? 'object';
    throw new Refused(kind, `a ${kind} is no plain data; ${adviceFor(value)}`);
  }
}

function adviceFor(value: object): string {
  if (value instanceof Date) return 'send toISOString() or getTime()';
  if (value instanceof Set) return 'make it an array';
  if (value instanceof Promise) return 'await it first';
  if (ArrayBuffer.isView(value)) return 'make its bytes a Uint8Array';
  return 'make it a plain object';
}
