/**
 * LoRA adapters of one model that no request can name: who knows of one uses it. They are in no list and count for no limit of named ones.
 * How replicas come to have them is `adapter-replicas.ts`'s to know.
 */
import { type Deferred, deferred } from '../util/deferred.js';
import { AdapterBook, type AdapterLease, type AdapterRecord } from './adapter-book.js';
import { isHiddenName } from './adapter-names.js';
import { type AdaptedReplicas, AdapterReplicas } from './adapter-replicas.js';
import { lasting } from './adapter-source.js';
import type { OpenReplica } from './broadcast.js';
import type { Upkeep } from './prepared-gang.js';

/** An adapter by its name, which `isHiddenName` knows, and the PEFT folder that it is loaded from. */
export interface HiddenAdapter {
  readonly name: string;
  readonly folder: string;
}

export interface HiddenAdaptersOptions extends AdaptedReplicas {
  /** How many are kept loaded; those in use are, however many they are. Default 32. */
  readonly keep?: number;
}

export class HiddenAdapters implements Upkeep {
  readonly #book: AdapterBook;
  readonly #replicas: AdapterReplicas;
  /** Who waits for a load, by name: all share it, and all have their lease before anything else happens to the adapter. */
  readonly #waiting = new Map<string, Deferred<AdapterLease>[]>();
  /** Those that are forgotten when their last use is over. Until then replicas that start anew are told of them. */
  readonly #leaving = new WeakSet<AdapterRecord>();

  constructor(options: HiddenAdaptersOptions) {
    this.#book = new AdapterBook(options.keep ?? 32, new Map(), true);
    this.#replicas = new AdapterReplicas(this.#book, options, { makeRoom: () => this.#shrink(1) });
  }

  /** Use a loaded adapter; null when it is not loaded: then {@link use} loads it. */
  lease(name: string): AdapterLease | null {
    const record = this.#book.get(name);
    return record === undefined || this.#leaving.has(record) ? null : this.#leased(name);
  }

  /**
   * Use an adapter, loaded first where needed; where no replica takes requests, whichever comes is told before it does.
   * @throws `INVALID_REQUEST` with the engine's words: all who wait hear them, and the next use tries again; `NOT_READY` while the engines
   *   sleep
   */
  use(adapter: HiddenAdapter): Promise<AdapterLease> {
    const { name } = adapter;
    if (!isHiddenName(name)) throw new Error(`${name} is no name of a hidden adapter`);
    const lease = this.lease(name);
    if (lease !== null) return Promise.resolve(lease);
    const mine = deferred<AdapterLease>();
    const others = this.#waiting.get(name);
    if (others === undefined) {
      this.#waiting.set(name, [mine]);
      void this.#replicas.inTurn(name, () => this.#letIn(adapter));
    } else others.push(mine);
    return mine.promise;
  }

  /** The weights of the folder take the place of those of that name where it is loaded; elsewhere the next use loads them. Throws as {@link use}. */
  async replace({ folder, name }: HiddenAdapter): Promise<void> {
    await this.#replicas.inTurn(name, async () => {
      if (this.#book.get(name) === undefined) return;
      const lease = await this.#load(name, folder, true);
      lease.release();
    });
  }

  /** Resolves when its last use is over, those that wait for it included, and the replicas were told to forget it. */
  async forget(name: string): Promise<void> {
    // From this call on, and not only when its turn comes, a use is one of another adapter.
    const known = this.#book.get(name);
    if (known?.ready === true) this.#leaving.add(known);
    await this.#replicas.inTurn(name, async () => {
      const record = this.#book.get(name);
      if (record === undefined) return;
      this.#leaving.add(record);
      await new Promise<void>((resolve) => this.#book.whenIdle(record, resolve));
      this.#book.remove(name);
      await this.#replicas.forget(name);
    });
  }

  settled(replica: string, epoch: number): boolean {
    return this.#replicas.settled(replica, epoch);
  }

  async settle(replica: OpenReplica): Promise<void> {
    await this.#replicas.settle(replica);
  }

  /** In turn: load it for all who wait. */
  async #letIn({ folder, name }: HiddenAdapter): Promise<void> {
    let own: AdapterLease | null = null;
    let failure: unknown = null;
    try {
      if (this.#book.get(name) === undefined) own = await this.#load(name, folder, false);
    } catch (error) {
      failure = error;
    }
    const waiting = this.#waiting.get(name) ?? [];
    this.#waiting.delete(name);
    for (const { reject, resolve } of waiting) {
      const lease = this.#leased(name);
      if (lease === null) reject(failure);
      else resolve(lease);
    }
    own?.release();
  }

  #leased(name: string): AdapterLease | null {
    const lease = this.#book.lease(name);
    if (lease === null) return null;
    const release = (): void => {
      lease.release();
      this.#shrink(0);
    };
    return { name, release };
  }

  #load(name: string, folder: string, inPlace: boolean): Promise<AdapterLease> {
    return this.#replicas.load({ name, files: lasting(folder), is3d: null, pinned: false, inPlace });
  }

  /** Until as many `more` fit, or all that are left are in use. */
  #shrink(more: 0 | 1): void {
    for (let victim = this.#book.victim(more); victim != null; victim = this.#book.victim(more))
      this.#replicas.evict(victim);
  }
}
