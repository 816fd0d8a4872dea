/** Bytes of an object from the door of another box, into memory of this one. */
import { TwinkleError } from '../../errors.js';
import type { Target } from '../../transport/door-draw.js';
import type { Memory } from '../slab-store.js';

/** See `draw` of transport, from the box that has it. */
export type Draw = (
  want: object,
  begin: (answer: Readonly<Record<string, unknown>>) => Target,
  signal?: AbortSignal,
) => Promise<void>;

/** Bytes of the memory in one view. */
const WINDOW = 1024 * 1024;

/**
 * Copy all that is wanted. Nothing is written to the memory after this has settled.
 * @param want answered with the `size` of what comes, which must be the memory's
 * @param signal ends it
 * @throws what the drawing rejects with, `PROTOCOL`: it has another size, `CHANNEL_CLOSED`: the stream ended early, `ABORTED`
 */
export async function fetchInto(draw: Draw, want: object, memory: Memory, signal?: AbortSignal): Promise<void> {
  const { size } = memory;
  let at = 0;
  let begun = false;
  const begin = (answer: Readonly<Record<string, unknown>>): Target => {
    begun = true;
    if (answer.size !== size) {
      const received = `expected ${size} bytes of another box but it has ${String(answer.size)}`;
      throw new TwinkleError('PROTOCOL', received);
    }
    let window: Uint8Array = new Uint8Array(0);
    return {
      room: () => {
        if (window.byteLength === 0 && at < size) window = memory.part(at, WINDOW);
        return window;
      },
      filled: (bytes) => {
        at += bytes;
        window = window.subarray(bytes);
      },
    };
  };
  try {
    await draw(want, begin, signal);
  } catch (error) {
    if (!begun || !(error instanceof TwinkleError) || error.code !== 'CHANNEL_CLOSED') throw error;
    const message = `the stream from another box ended after ${at} of ${size} bytes`;
    throw new TwinkleError('CHANNEL_CLOSED', message, { cause: error, details: { received: at, size } });
  }
}
