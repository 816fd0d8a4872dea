/** Connections to doors of other boxes: see `door.ts`. Knows nothing of what is said there. */
import { createHash } from 'node:crypto';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { TwinkleError } from '../errors.js';
import { AtMost } from '../util/at-most.js';
import { endLater, IDENTITY, PATIENCE_MS, SOCKET, TLS } from './door-frames.js';

/** Where a door is, and what opens it. */
export interface DoorPlace {
  readonly host: string;
  readonly port: number;
  /** 32 bytes. */
  readonly key: Buffer;
}

/** Node's own: where bytes go, and who is told of them. */
export interface OnRead {
  readonly buffer: () => Uint8Array;
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean;
}

/** Connections that are made to one door at once, the rest in a line: a door takes only so many that have not said what they want. */
const AT_ONCE = 16;

/** Made once: for each connection it would cost as much as the handshake. */
let context: SecureContext | null = null;

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
 * The connection, and that the other end has the key. The door must be reached within 5 s.
 * @param onread takes what comes, where that is not to be read from the stream
 * @throws `CHANNEL_CLOSED`: nobody is there, or has another key; `ABORTED`
 */
export function reachDoor(place: DoorPlace, signal?: AbortSignal, onread?: OnRead): Promise<TLSSocket> {
  return inLine(place, () => reach(place, signal, onread));
}

function reach(place: DoorPlace, signal: AbortSignal | undefined, onread?: OnRead): Promise<TLSSocket> {
  const { host, port, key } = place;
  const opener = `${nameOf(place)} ${createHash('sha256').update(key).digest('base64')}`;
  const session = sessions.get(opener);
  if (signal?.aborted === true) return Promise.reject(withdrawn(signal));
  return new Promise((resolve, reject) => {
    context ??= createSecureContext(TLS);
    const socket = connectTls({
      ...{ host, port, allowHalfOpen: SOCKET.allowHalfOpen, secureContext: context },
      ...(onread === undefined ? {} : { onread }),
      ...(session === undefined ? {} : { session }),
      minDHSize: 2048,
      pskCallback: () => ({ psk: key, identity: IDENTITY }),
      checkServerIdentity: () => undefined, // the key is its identity: there is no certificate
    });
    // Node passes these on to sockets without TLS only, and forgets the delay before there is a connection.
    socket.once('connect', () => {
      socket.setNoDelay(SOCKET.noDelay).setKeepAlive(SOCKET.keepAlive, SOCKET.keepAliveInitialDelay);
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
    // For as long as it lives: whoever uses the stream sees it close. Of what is no TLS Node only says so, and waits for more.
    socket.on('error', (error) => {
      reason = error.message;
      socket.destroy();
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

/** The error for who does not want it any more. */
export function withdrawn(signal: AbortSignal | undefined): TwinkleError {
  return new TwinkleError('ABORTED', 'the knock was withdrawn', { cause: signal?.reason });
}
