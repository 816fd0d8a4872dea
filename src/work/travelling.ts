/** Values with the bytes beside them, as frames carry them. Pure. */
import type { Value } from '../protocol/work.js';
import { errorValue } from './failures.js';
import type { Packed } from './portable.js';
import type { Stored } from './refs.js';

/** A value that is ready to travel. `keep`: ids, counted for it, to be released when it has arrived. */
export interface Outgoing {
  readonly value: Value;
  readonly parts: readonly Uint8Array[];
  readonly keep: readonly string[];
}

/** As it travels: its value, and the bytes beside it. */
export function travels(stored: Stored): { readonly value: Value; readonly parts: readonly Uint8Array[] } {
  if ('error' in stored) return errorValue(stored.error, 'a call');
  return { value: stored.value, parts: stored.value.at === '' ? [stored.body] : [] };
}

/** All bytes. */
export function sizeOf({ head, buffers }: Packed): number {
  return buffers.reduce((sum, buffer) => sum + buffer.byteLength, head.byteLength);
}

/** What a packed value travels as in a body. */
export function travellingOf({ format, head, buffers }: Packed, refs: readonly string[]): Value {
  return { f: format, s: [head, ...buffers].map(({ byteLength }) => byteLength), at: '', refs: [...refs] };
}

/** The parts of a value that are in a body. */
export function cut({ s: sizes }: Value, body: Uint8Array): Uint8Array[] {
  let at = 0;
  return sizes.map((size) => {
    at += size;
    return body.subarray(at - size, at);
  });
}
