/** Streams between boxes, the side that calls: see `door.ts`. */
import type { Duplex } from 'node:stream';
import { doorFrame, type Fields, readFrame } from './door-frames.js';
import { type DoorPlace, reachDoor, withdrawn } from './door-reach.js';
import { errorOf } from './peer-frames.js';

export interface Knocked {
  /** Bytes both ways, each with an end of its own. Its errors are heard already: it closes. */
  readonly stream: Duplex;
  /** What the door said beside yes. */
  readonly answer: Fields;
}

/**
 * A stream to whoever serves that want. The door must be reached within 5 s; its answer may take as long as what serves it does.
 * @param signal withdraws the knock; the stream that came of one is its user's
 * @throws `CHANNEL_CLOSED`: nobody is there, or has another key; what the other side refused with; `INVALID_REQUEST`, `PROTOCOL`, `ABORTED`
 */
export async function knock(place: DoorPlace, want: object, signal?: AbortSignal): Promise<Knocked> {
  const said = doorFrame(want);
  const socket = await reachDoor(place, signal);
  const withdraw = (): void => void socket.destroy();
  signal?.addEventListener('abort', withdraw, { once: true });
  try {
    signal?.throwIfAborted();
    socket.write(said);
    const { ok, code, message, ...answer } = await readFrame(socket);
    if (ok !== true) throw errorOf(String(code), String(message));
    signal?.throwIfAborted();
    return { stream: socket, answer };
  } catch (error) {
    socket.destroy();
    throw signal?.aborted === true ? withdrawn(signal) : error;
  } finally {
    signal?.removeEventListener('abort', withdraw);
  }
}
