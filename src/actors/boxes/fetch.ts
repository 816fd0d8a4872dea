/** Bytes of an object from the door of another box, into memory of this one. */
import type { Duplex } from 'node:stream';
import { TwinkleError } from '../../errors.js';
import type { Knocked } from '../../transport/door-knock.js';
import type { Memory } from '../slab-store.js';

/** A stream from the box that has it. */
export type Knock = (want: object, signal?: AbortSignal) => Promise<Knocked>;

/**
 * Copy all that is wanted. Nothing is written to the memory after this has settled.
 * @param want answered with the `size` of what comes, which must be the memory's
 * @param signal ends it
 * @throws what the knock rejects with, `PROTOCOL`: it has another size, `CHANNEL_CLOSED`: the stream ended early, `ABORTED`
 */
export async function fetchInto(knock: Knock, want: object, memory: Memory, signal?: AbortSignal): Promise<void> {
  const { stream, answer } = await knock(want, signal);
  try {
    if (answer.size !== memory.size) {
      const received = `expected ${memory.size} bytes of another box but it has ${String(answer.size)}`;
      throw new TwinkleError('PROTOCOL', received);
    }
    await copied(stream, memory, signal);
  } finally {
    stream.destroy();
  }
}

function copied(stream: Duplex, memory: Memory, signal: AbortSignal | undefined): Promise<void> {
  const { size } = memory;
  return new Promise((resolve, reject) => {
    let at = 0;
    const settle = (act: () => void): void => {
      stream.off('data', take).off('end', ended).off('close', ended);
      signal?.removeEventListener('abort', withdraw);
      act();
    };
    const take = (chunk: Buffer): void => {
      try {
        if (at + chunk.byteLength > size) throw new TwinkleError('PROTOCOL', `more than ${size} bytes came`);
        for (let from = 0; from < chunk.byteLength; ) {
          const part = memory.part(at, chunk.byteLength - from);
          part.set(chunk.subarray(from, from + part.byteLength));
          from += part.byteLength;
          at += part.byteLength;
        }
        if (at === size) settle(resolve);
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const ended = (): void => {
      const message = `the stream from another box ended after ${at} of ${size} bytes`;
      settle(() => reject(new TwinkleError('CHANNEL_CLOSED', message, { details: { received: at, size } })));
    };
    const withdraw = (): void => {
      const aborted = new TwinkleError('ABORTED', 'the bytes are not wanted any more', { cause: signal?.reason });
      settle(() => reject(aborted));
    };
    stream.on('data', take).once('end', ended).once('close', ended);
    signal?.addEventListener('abort', withdraw, { once: true });
    if (signal?.aborted === true) withdraw();
    else if (size === 0) settle(resolve);
    else if (stream.destroyed) ended();
  });
}
