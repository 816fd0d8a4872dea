/**
 * Streams between boxes, the side that listens: TCP with TLS and a key that both boxes were given, one connection for each stream, so TCP's
 * back-pressure is the stream's. The caller's side is `door-knock.ts`. Knows nothing of what is wanted.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { TwinkleError } from '../errors.js';
import { deferred } from '../util/deferred.js';
import {
  doorFrame,
  endLater,
  type Fields,
  IDENTITY,
  PATIENCE_MS,
  readFrame,
  refusal,
  SOCKET,
  TLS,
} from './door-frames.js';
import { Strangers } from './door-strangers.js';

/**
 * Say yes, with fields for the caller; the stream is bytes both ways from then on, each way with an end of its own. Once.
 * @throws `ABORTED`: the caller has gone
 */
export type Accept = (answer?: Fields) => Duplex;

/**
 * Answers what a caller wants by accepting it. What it throws before that is told to the caller, by code and message; after it, the stream is
 * destroyed. When it is over, the stream stays until both its ways have ended.
 */
export type Serve = (want: Fields, accept: Accept) => Promise<void> | void;

export interface DoorOptions {
  /** Address to listen at. */
  readonly host: string;
  /** 32 bytes; who does not have it is not listened to. */
  readonly key: Buffer;
  readonly serve: Serve;
}

/**
 * Open a door, at any free port.
 * @throws `PORT_IN_USE`: it cannot listen at that address
 */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const door = new Door(options);
  await door.listen(options.host);
  return door;
}

/** Made by {@link openDoor}. */
export class Door implements AsyncDisposable {
  readonly #serve: Serve;
  readonly #server: Server;
  readonly #strangers = new Strangers();
  readonly #sockets = new Set<Socket>();
  /** What is served now, accepted already. */
  readonly #served = new Set<Promise<void>>();
  #closing: Promise<void> | null = null;

  constructor({ key, serve }: Omit<DoorOptions, 'host'>) {
    this.#serve = serve;
    const tls = createTlsServer({
      ...TLS,
      dhparam: 'auto',
      handshakeTimeout: PATIENCE_MS,
      pskCallback: (_socket, identity) => (identity === IDENTITY ? key : null),
    });
    tls.on('tlsClientError', (_error, socket) => socket.destroy());
    tls.on('secureConnection', (socket) => void this.#greet(socket));
    // Sockets are looked at before TLS is, which is the dearer part.
    this.#server = createServer(SOCKET, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {}).once('close', () => this.#sockets.delete(socket));
      if (this.#strangers.add(socket)) tls.emit('connection', socket);
    });
    this.#server.on('error', () => {}); // a connection that could not be taken: its caller hears of it
  }

  /** Where it listens. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** See {@link openDoor}. */
  async listen(host: string): Promise<void> {
    this.#server.listen(0, host);
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new TwinkleError('PORT_IN_USE', `no port can be opened at \`${host}\`: ${why}`, { cause: error });
    }
  }

  /** Ends all streams, and what serves them. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    await Promise.all(this.#served);
  }

  /** It has the key. */
  async #greet(socket: TLSSocket): Promise<void> {
    endLater(socket);
    socket.on('error', () => socket.destroy()); // whoever uses the stream sees it close
    const over = deferred<void>();
    let accepted = false;
    const accept: Accept = (answer = {}) => {
      if (accepted) throw new Error('a stream is accepted once');
      if (socket.destroyed) throw new TwinkleError('ABORTED', 'who wanted a stream has gone');
      socket.write(doorFrame({ ...answer, ok: true }));
      accepted = true;
      this.#served.add(over.promise);
      return socket;
    };
    try {
      const want = await readFrame(socket);
      this.#strangers.known(socket);
      await this.#serve(want, accept);
      if (!accepted) throw new TwinkleError('PROTOCOL', 'nothing here answers what was wanted');
    } catch (error) {
      if (accepted) socket.destroy();
      else leave(socket, refusal(error));
    }
    this.#served.delete(over.promise);
    over.resolve();
  }
}

/** The last word, and the end; who does not read it is not waited for. */
function leave(socket: TLSSocket, word: Buffer): void {
  const late = setTimeout(() => socket.destroy(), PATIENCE_MS).unref();
  socket.once('close', () => clearTimeout(late));
  socket.resume(); // what is unread when a socket closes would take the word with it
  socket.end(word, () => socket.destroy());
}
