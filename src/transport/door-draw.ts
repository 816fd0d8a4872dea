/**
 * Bytes from another box's door straight into memory of the caller's: see `door.ts`. A stream would make a buffer for each 16 KiB of TLS, and
 * copy it from there: half of what receiving costs.
 */
import { TwinkleError } from '../errors.js';
import { doorFrame, type Fields, fieldsOf, sizeOf } from './door-frames.js';
import { type DoorPlace, reachDoor, withdrawn } from './door-reach.js';
import { errorOf } from './peer-frames.js';

/** Where what comes is written to. */
export interface Target {
  /** For the next bytes; none: nothing is wanted any more. */
  room(): Uint8Array;
  /** So many bytes were written there. */
  filled(bytes: number): void;
}

/**
 * All that the target has room for.
 * @param begin told what the door said beside yes. What it or the target throws is thrown, and ends it
 * @param signal ends it
 * @throws what `knock` throws, `CHANNEL_CLOSED` also when the stream ends before the target has all
 */
export async function draw(
  place: DoorPlace,
  want: object,
  begin: (answer: Fields) => Target,
  signal?: AbortSignal,
): Promise<void> {
  const said = doorFrame(want);
  const drawing = new Drawing(begin);
  const socket = await reachDoor(place, signal, {
    buffer: () => drawing.room(),
    callback: (bytes, buffer) => drawing.came(buffer.subarray(0, bytes)),
  });
  const withdraw = (): void => drawing.fail(withdrawn(signal));
  const broke = (): void => drawing.fail(new TwinkleError('CHANNEL_CLOSED', 'the other end of a door is gone'));
  socket.once('end', broke).once('close', broke);
  signal?.addEventListener('abort', withdraw, { once: true });
  if (signal?.aborted === true) withdraw();
  socket.write(said);
  socket.resume();
  try {
    await drawing.over;
    socket.destroy();
  } catch (error) {
    // What is decrypted already may still be written where it was to go, until the socket has closed.
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve).destroy());
    throw error;
  } finally {
    signal?.removeEventListener('abort', withdraw);
  }
}

/** The bytes of the answer's frame are kept until it is whole; those behind it are the target's. */
const ANSWER_BYTES = 4096;

class Drawing {
  readonly over: Promise<void>;
  readonly #begin: (answer: Fields) => Target;
  /** Where the answer comes to, and what nobody wants. */
  readonly #own = Buffer.allocUnsafe(ANSWER_BYTES);
  #answer = Buffer.alloc(0);
  #target: Target | null = null;
  #settled = false;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(begin: (answer: Fields) => Target) {
    this.#begin = begin;
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Never throws: who calls cannot catch it. */
  room(): Uint8Array {
    if (this.#settled || this.#target === null) return this.#own;
    try {
      const room = this.#target.room();
      if (room.byteLength > 0) return room;
      this.#settle(this.#resolve);
    } catch (error) {
      this.fail(error);
    }
    return this.#own;
  }

  /** As {@link room}. @returns whether more is wanted */
  came(bytes: Uint8Array): boolean {
    if (this.#settled) return false;
    try {
      if (this.#target === null) this.#read(bytes);
      else this.#target.filled(bytes.byteLength);
    } catch (error) {
      this.fail(error);
    }
    return !this.#settled;
  }

  fail(error: unknown): void {
    this.#settle(() => this.#reject(error));
  }

  #settle(act: () => void): void {
    if (this.#settled) return;
    this.#settled = true;
    act();
  }

  #read(bytes: Uint8Array): void {
    this.#answer = Buffer.concat([this.#answer, bytes]);
    if (this.#answer.byteLength < 4) return;
    const end = 4 + sizeOf(this.#answer);
    if (this.#answer.byteLength < end) return;
    const { ok, code, message, ...answer } = fieldsOf(this.#answer.subarray(4, end));
    if (ok !== true) throw errorOf(String(code), String(message));
    const target = this.#begin(answer);
    this.#target = target;
    for (let from = end; from < this.#answer.byteLength; ) {
      const room = target.room();
      if (room.byteLength === 0) break; // what is behind it is not wanted, here as in later pieces
      const part = this.#answer.subarray(from, from + room.byteLength);
      room.set(part);
      target.filled(part.byteLength);
      from += part.byteLength;
    }
    this.#answer = Buffer.alloc(0);
  }
}
