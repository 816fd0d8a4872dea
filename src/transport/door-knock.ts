/** Streams between boxes, the side that calls: see `door.ts`. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { TwinkleError } from '../errors.js';
import { AtMost } from '../util/at-most.js';
import { doorFrame, endLater, type Fields, IDENTITY, PATIENCE_MS, readFrame, SOCKET, TLS } from './door-frames.js';
import { errorOf } from './peer-frames.js';

/** Where a door is, and what opens it. */
export interface DoorPlace {
  readonly host: string;
  readonly port: number;
  /** 32 bytes. */
  readonly key: Buffer;
}

export interface Knocked {
  /** Bytes both ways, each with an end of its own. Its errors are heard already: it closes. */
  readonly stream: Duplex;
  /** What the door said beside yes. */
  readonly answer: Fields;
}

/** Connections that are made to one door at once, the rest in a line: a door takes only so many that have not said what they want. */
const AT_ONCE = 16;

interface Line {
  readonly turns: AtMost;
  users: number;
}

const lines = new Map<string, Line>();

/**
 * What each door gave out for the next time, by its name and key; the oldest comes first. With it neither end makes new keys, which takes each of
 * them longer than a megabyte; a door that does not know it any more makes new ones.
 */
const sessions = new Map<string, Buffer>();
const MOST_SESSIONS = 1024;

/**
 * A stream to whoever serves that want. The door must be reached within 5 s; its answer may take as long as what serves it does.
 * @param signal withdraws the knock; the stream that came of one is its user's
 * @throws `CHANNEL_CLOSED`: nobody is there, or has another key; what the other side refused with; `INVALID_REQUEST`, `PROTOCOL`, `ABORTED`
 */
export async function knock(place: DoorPlace, want: object, signal?: AbortSignal): Promise<Knocked> {
  const said = doorFrame(want);
  const socket = await inLine(place, () => reach(place, signal));
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

/** The connection, and that the other end has the key. */
function reach(place: DoorPlace, signal: AbortSignal | undefined): Promise<TLSSocket> {
  const { host, port, key } = place;
  const opener = `${nameOf(place)} ${createHash('sha256').update(key).digest('base64')}`;
  const session = sessions.get(opener);
  if (signal?.aborted === true) return Promise.reject(withdrawn(signal));
  return new Promise((resolve, reject) => {
    const plain = connect({ ...SOCKET, host, port });
    const socket = connectTls({
      ...TLS,
      socket: plain,
      ...(session === undefined ? {} : { session }),
      minDHSize: 2048,
      pskCallback: () => ({ psk: key, identity: IDENTITY }),
      checkServerIdentity: () => undefined, // the key is its identity: there is no certificate
    });
    endLater(socket);
    let reason = 'it was closed';
    const settle = (act: () => void): void => {
      clearTimeout(late);
      signal?.removeEventListener('abort', withdraw);
      socket.off('secureConnect', reached).off('close', closed);
      act();
    };
    const fail = (error: TwinkleError): void =>
      settle(() => {
        sessions.delete(opener);
        plain.destroy();
        socket.destroy();
        reject(error);
      });
    const closed = (): void =>
      fail(new TwinkleError('CHANNEL_CLOSED', `the door at ${nameOf(place)} cannot be opened: ${reason}`));
    const withdraw = (): void => fail(withdrawn(signal));
    const reached = (): void => settle(() => resolve(socket));
    const late = setTimeout(() => {
      reason = `no answer within ${PATIENCE_MS} ms`;
      closed();
    }, PATIENCE_MS);
    // For as long as it lives: whoever uses the stream sees it close.
    socket.on('error', (error) => {
      reason = error.message;
    });
    plain.on('error', (error) => {
      reason = error.message;
      closed();
    });
    socket.on('session', (fresh: Buffer) => remember(opener, fresh));
    socket.once('secureConnect', reached).once('close', closed);
    signal?.addEventListener('abort', withdraw, { once: true });
  });
}

async function inLine<T>(place: DoorPlace, act: () => Promise<T>): Promise<T> {
  const name = nameOf(place);
  const line = lines.get(name) ?? { turns: new AtMost(AT_ONCE), users: 0 };
  lines.set(name, line);
  line.users += 1;
  try {
    return await line.turns.run(act);
  } finally {
    line.users -= 1;
    if (line.users === 0) lines.delete(name);
  }
}

function remember(opener: string, session: Buffer): void {
  sessions.delete(opener);
  sessions.set(opener, session);
  const [oldest] = sessions.keys();
  if (sessions.size > MOST_SESSIONS && oldest !== undefined) sessions.delete(oldest);
}

function nameOf({ host, port }: DoorPlace): string {
  return `${host}:${port}`;
}

function withdrawn(signal: AbortSignal | undefined): TwinkleError {
  return new TwinkleError('ABORTED', 'the knock was withdrawn', { cause: signal?.reason });
}
