/** Where workers of other boxes can be dialled on this one: a socket for each, as if it were the worker's own. */
import { TwinkleError } from '../../errors.js';
import type { Logger } from '../../observability/logger.js';
import { type KnockWorker, Relay } from './relay.js';

export interface RelayOptions {
  /** There, 0700, and nobody else's. Its path is short: those of sockets are at most 107 bytes. */
  readonly folder: string;
  /** A stream to that worker. */
  readonly knock: KnockWorker;
  /** See `OneRelay`. */
  broken(node: string, path: string, why: string): void;
  /** See `OneRelay`. */
  readonly untoldMs?: number;
  readonly log: Logger;
}

export class Relays implements AsyncDisposable {
  readonly #options: RelayOptions;
  /** Those that can be dialled, by box and path there. */
  readonly #reached = new Map<string, Relay>();
  /** And those that have streams only. */
  readonly #all = new Set<Relay>();
  #next = 0;
  #closed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  /**
   * Where that worker can be dialled here, from now on: always the same for the same worker.
   * @param path of its socket on its box
   * @throws `CONFIG_INVALID`: the folder's path is too long; `STORAGE_FAILED`: nothing can listen in it; `DRAINING`
   */
  reach(node: string, path: string): string {
    if (this.#closed) throw new TwinkleError('DRAINING', 'the node service ends');
    const key = keyOf(node, path);
    const reached = this.#reached.get(key);
    if (reached !== undefined) return reached.path;
    const { folder, knock, log, broken, untoldMs } = this.#options;
    const own = { node, worker: path, path: `${folder}/f${this.#next++}.s` };
    const relay = new Relay({
      ...{ ...own, knock, log, broken: (why) => broken(node, path, why) },
      ...(untoldMs === undefined ? {} : { untoldMs }),
    });
    this.#reached.set(key, relay);
    this.#all.add(relay);
    void relay.closed.then(() => this.#all.delete(relay));
    return relay.path;
  }

  /** The worker has ended: nobody can dial it any more; open streams end by themselves. */
  ended(node: string, path: string): void {
    const key = keyOf(node, path);
    this.#reached.get(key)?.close();
    this.#reached.delete(key);
  }

  /** That box is gone: its sockets and streams end at once. */
  gone(node: string): void {
    for (const relay of this.#all) {
      if (relay.node !== node) continue;
      this.#reached.delete(keyOf(node, relay.worker));
      relay.cut();
    }
  }

  /** Ends all. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#reached.clear();
    const all = [...this.#all];
    for (const relay of all) relay.cut();
    await Promise.all(all.map(({ closed }) => closed));
  }
}

function keyOf(node: string, path: string): string {
  return `${node}\0${path}`;
}
