/**
 * The portable form: msgpack with extensions for arrays and references, as core/portable.py writes it, and JavaScript values of it. Arrays of
 * more than a few bytes lie beside the head, each in a buffer of its own. Must not know sockets or shared memory.
 */
import { addExtension, Packr } from 'msgpackr';
import { TwinkleError } from '../errors.js';
import { fromNumpy } from './nd-array.js';

/** A value as it travels. `buffers` are memory of the value itself: it must not change before they are sent. */
export interface Packed {
  readonly format: 'raw' | 'msgpack';
  readonly head: Uint8Array;
  readonly buffers: readonly Uint8Array[];
}

/** Stands for something that is no data. `tag` and `id` as core/portable.py has them. */
export type Payload = readonly ['ref', string] | readonly ['actor', string, object];

/** What stands for a value that is a reference; null: it is none. */
export type Escape = (value: object) => Payload | null;

/** Among arguments: the value of a reference that travels beside them, by its place there. */
export class Given {
  constructor(readonly at: number) {}
}

/** Among arguments of a constructor: the value of a reference, which each life asks for by itself. */
export class Late {
  constructor(readonly ref: object) {}
}

class Extension {
  constructor(readonly data: Uint8Array) {}
}
// A class for each: that is how msgpackr tells them apart. The codes are far from those that it and others use: its table is the process's.
export class ArrayForm extends Extension {}
export class GivenForm extends Extension {}
export class RefForm extends Extension {}
export class ActorForm extends Extension {}
export class LateForm extends Extension {}

/** Writes -0, which msgpackr would write as the whole number 0. */
class NegativeZero {}
export const NEGATIVE_ZERO = new NegativeZero();

type Allocate = (bytes: number) => { readonly targetView: DataView; readonly position: number };

/** What the extensions of the value that is being read need. */
interface Reading {
  readonly buffers: readonly Uint8Array[];
  readonly load: (payload: Payload) => unknown;
}
let reading: Reading | null = null;

const TEXT = new TextDecoder();
/** In a head that has it, a map may have a key of that name, which no assignment can give to an object. */
const PROTO = Buffer.from('__proto__');

/** Bytes are copied: what they lay in may be given back. */
const OPTIONS = { useRecords: false, int64AsType: 'auto' as 'bigint', variableMapSize: true, copyBuffers: true };
export const packr = new Packr({ ...OPTIONS, mapsAsObjects: true });
const mapsPackr = new Packr({ ...OPTIONS, mapsAsObjects: false });

addExtension({ type: 48, Class: ArrayForm, pack: dataOf, unpack: arrayOf });
addExtension({ type: 49, Class: GivenForm, pack: dataOf, unpack: refuse });
addExtension({
  type: 50,
  Class: RefForm,
  pack: dataOf,
  unpack: (data: Uint8Array) => loaded(['ref', TEXT.decode(data)]),
});
addExtension({
  type: 51,
  Class: ActorForm,
  pack: dataOf,
  unpack: (data: Uint8Array) => {
    const card = packr.unpack(data) as { readonly id: string };
    return loaded(['actor', card.id, card]);
  },
});
addExtension({ type: 52, Class: LateForm, pack: dataOf, unpack: refuse });
const writeNegativeZero = (_: NegativeZero, allocate: Allocate): undefined => {
  const { targetView, position } = allocate(9);
  targetView.setUint8(position, 0xcb);
  targetView.setFloat64(position + 1, -0);
};
addExtension({ type: 53, Class: NegativeZero, pack: writeNegativeZero as never, unpack: refuse });

/**
 * The value of what `encode`, or Python, packed. All but bytes as a whole (raw) and arrays of buffers is copied.
 * @param load makes what a payload stands for
 * @throws TwinkleError `SERIALIZATION` for other formats: pickles are Python's
 */
export function decode(format: string, [head, ...buffers]: readonly Uint8Array[], load: Reading['load']): unknown {
  if (format === 'raw') return head;
  if (format !== 'msgpack') {
    throw new TwinkleError(
      'SERIALIZATION',
      `expected a value that Node can read but received a Python ${format}: hand the reference to a task that returns it as plain data or arrays`,
    );
  }
  const before = reading;
  reading = { buffers, load };
  try {
    const bytes = head as Uint8Array;
    const named = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes(PROTO);
    return named ? plainOf(mapsPackr.unpack(bytes)) : packr.unpack(bytes);
  } catch (error) {
    if (error instanceof TwinkleError) throw error;
    throw new TwinkleError('SERIALIZATION', `a value cannot be read: ${String(error)}`, { cause: error });
  } finally {
    reading = before;
  }
}

/** Objects of what was read as Maps, with every key as it is. */
function plainOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainOf);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([key, item]) => [key, plainOf(item)]));
}

/** Whether arrays of the value that was read may lie in the memory that it was read from. */
export function mayView(format: string, parts: { readonly length: number }): boolean {
  return format === 'raw' || parts.length > 1;
}

function dataOf(form: Extension): Buffer {
  return Buffer.from(form.data.buffer, form.data.byteOffset, form.data.byteLength);
}

function arrayOf(data: Uint8Array): unknown {
  const form = packr.unpack(data) as {
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly data: Uint8Array | number;
  };
  const bytes = typeof form.data === 'number' ? reading?.buffers[form.data] : form.data;
  if (bytes === undefined)
    throw new TwinkleError('SERIALIZATION', `an array names buffer ${String(form.data)}, which is not there`);
  return fromNumpy(form.dtype, form.shape, bytes);
}

function loaded(payload: Payload): unknown {
  if (reading === null) throw new TwinkleError('SERIALIZATION', 'a reference cannot be read here');
  return reading.load(payload);
}

function refuse(): never {
  throw new TwinkleError('SERIALIZATION', 'expected a value but received a part of arguments');
}
