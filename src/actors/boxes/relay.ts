/** One worker of another box, on this one: a socket that listens, and a stream to the worker for each connection. */
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { basename } from 'node:path';
import type { Duplex } from 'node:stream';
import { asTwinkleError, type ErrorCode, TwinkleError } from '../../errors.js';
import type { Logger } from '../../observability/logger.js';
import { joinStreams } from './join-streams.js';

/** A stream to a worker of that box; rejects when there is none. */
export type KnockWorker = (node: string, want: { readonly t: 'worker'; readonly name: string }) => Promise<Duplex>;

export interface OneRelay {
  readonly node: string;
  /** The worker's socket on its box. */
  readonly worker: string;
  /** Ours. */
  readonly path: string;
  readonly knock: KnockWorker;
  /** The way to the worker does not hold, though nobody has said that it or its box has gone: callers would wait for an answer for ever. */
  broken(why: string): void;
  /** ms until the end of a worker is told whose stream has ended; default 3000. */
  readonly untoldMs?: number;
  readonly log: Logger;
}

/** Bytes of a socket's path, by the kernel; libuv cuts what is longer, and listens elsewhere. */
const LONGEST_PATH = 107;

/** Where the node tells callers by itself what has become of the worker. */
const TOLD: ReadonlySet<ErrorCode> = new Set(['WORKER_DIED', 'NODE_LOST', 'DRAINING']);

const UNTOLD_MS = 3000;

export class Relay {
  readonly node: string;
  readonly worker: string;
  readonly path: string;
  /** Resolves when it listens no more, and no local connection is open. */
  readonly closed: Promise<void>;
  readonly #options: OneRelay;
  readonly #server: Server;
  /** Of both sides. */
  readonly #streams = new Set<Duplex>();
  /** Aborted when the worker is known to be gone, or its box. */
  readonly #told = new AbortController();
  #cut = false;

  /**
   * It listens when this returns.
   * @throws `CONFIG_INVALID`, `STORAGE_FAILED`
   */
  constructor(options: OneRelay) {
    const { node, worker, path, log } = options;
    this.#options = options;
    this.node = node;
    this.worker = worker;
    this.path = path;
    if (Buffer.byteLength(path) > LONGEST_PATH) {
      const expected = `expected a path of at most ${LONGEST_PATH} bytes for a socket`;
      throw new TwinkleError('CONFIG_INVALID', `${expected} but received \`${path}\`; use a shorter home folder`);
    }
    this.#server = createServer({ allowHalfOpen: true }, (local) => void this.#carry(local));
    this.#server.on('error', (error) => log.warn({ node, worker, path, error: error.message }, 'relay_failed'));
    this.closed = new Promise((resolve) => this.#server.once('close', resolve));
    rmSync(path, { force: true }); // of a process that was killed: the folder is ours now
    // A socket with a path is bound, and listens, before this returns; only the event comes later.
    this.#server.listen(path);
    if (!this.#server.listening) throw new TwinkleError('STORAGE_FAILED', `nothing can listen at \`${path}\``);
  }

  /** Nobody can dial it any more; streams go on. Idempotent. */
  close(): void {
    this.#told.abort();
    if (this.#server.listening) this.#server.close(); // removes its file, too
  }

  /** Ends it with its streams, at once. Idempotent. */
  cut(): void {
    this.#cut = true;
    this.close();
    for (const stream of this.#streams) stream.destroy();
  }

  async #carry(local: Socket): Promise<void> {
    const { node, worker, knock, broken, log } = this.#options;
    this.#keep(local);
    try {
      // Not read until there is somewhere to put it: the kernel keeps what the caller says meanwhile.
      const remote = await knock(node, { t: 'worker', name: basename(worker, '.s') });
      this.#keep(remote);
      // Before the streams are joined: then the one has not yet ended the other.
      const left = (): boolean => local.readableEnded || local.destroyed || this.#cut;
      remote.once('end', () => {
        if (!left()) this.#mindSilence();
      });
      remote.once('close', () => {
        if (!remote.readableEnded && !left()) broken('its stream broke');
      });
      joinStreams(local, remote);
    } catch (error) {
      const { code, message } = asTwinkleError(error);
      log.info({ node, worker, why: message }, 'relay_refused');
      local.destroy(); // the caller sees a worker that has gone
      if (!TOLD.has(code)) broken(message);
    }
  }

  /** Its stream has ended as that of a worker which is gone; a stream that was reset may look so, too. */
  #mindSilence(): void {
    const { broken, untoldMs = UNTOLD_MS } = this.#options;
    const late = setTimeout(() => broken('its stream ended, and nobody says that it has gone'), untoldMs).unref();
    this.#told.signal.addEventListener('abort', () => clearTimeout(late), { once: true });
  }

  #keep(stream: Duplex): void {
    stream.on('error', () => {}); // its end is what counts
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    if (this.#cut) stream.destroy();
  }
}
