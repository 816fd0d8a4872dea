/** What clients ask about objects: room, values, references. Joins the table of who keeps what with the slabs where bytes are. */
import { TwinkleError } from '../errors.js';
import type { Block, Ids, Opened, Publish, Reserve, Seal, SlabPlace, Value } from '../protocol/work.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { WithBody } from './client-peer.js';
import { ObjectTable } from './object-table.js';
import type { ObjectFacts, Outcome, StoredValue, Waiter } from './object-types.js';
import type { SlabStore, SlabStoreStats } from './slab-store.js';

/** A value as the node keeps it. */
interface Kept extends StoredValue {
  readonly value: Value;
  /** Its bytes, when they are not in a block. */
  readonly body: Buffer;
}

/** Client of the service itself: it holds what has no other holder. */
export const SERVICE = 0;

export interface ObjectStatus extends SlabStoreStats {
  readonly objects: number;
  readonly inlineBytes: number;
  readonly spilledBytes: number;
}

export class ObjectDesk {
  readonly #table: ObjectTable<Kept>;
  readonly #slabs: SlabStore;
  /** What stands behind the numbers that the table has for blocks: memory, or what else ends with its object. */
  readonly #blocks = new Map<number, Block | (() => void)>();
  /** Answers that wait for a value, by client and token. */
  readonly #waits = new Map<string, Deferred<void>>();
  /** Blocks that are being written, by client and object. */
  readonly #reserved = new Map<number, Map<string, number>>();
  #nextBlock = 0;
  #nextToken = 0;

  constructor(slabs: SlabStore) {
    this.#slabs = slabs;
    this.#table = new ObjectTable<Kept>({
      free: (block) => this.#free(block),
      unspill: () => {},
      fulfilled: (_id, _outcome, waiters) => this.#wake(waiters),
    });
    this.#table.clientJoined(SERVICE);
  }

  joined(client: number): void {
    this.#reserved.set(client, new Map());
    this.#table.clientJoined(client);
  }

  gone(client: number): void {
    this.#reserved.delete(client);
    this.#table.clientGone(client);
  }

  /** Room for the bytes of an object that nobody can read yet. Throws `SHM_FULL`. */
  reserve(client: number, { id, bytes }: Reserve): Block {
    const block = this.#slabs.reserve(bytes);
    const number = this.#nextBlock++;
    this.#blocks.set(number, block);
    try {
      this.#table.reserve(client, id, number, bytes);
    } catch (error) {
      this.#free(number);
      throw error;
    }
    this.#reserved.get(client)?.set(id, number);
    return block;
  }

  /** The bytes are written. */
  seal(client: number, { id, value, holders }: Seal): void {
    const own = this.#reserved.get(client);
    const block = own?.get(id) ?? null;
    this.#table.seal(client, id, { value, body: NOTHING, bytes: 0, block, refs: value.refs }, holders);
    own?.delete(id);
  }

  /** Small values, and promises of values. Throws `PROTOCOL` for references to what is not known. */
  publish(client: number, { ids, values }: Publish, body: Buffer): void {
    let at = 0;
    ids.forEach((id, index) => {
      const value = values[index] ?? null;
      if (value === null) {
        this.#table.promise(client, id);
        return;
      }
      const size = value.s.reduce((sum, part) => sum + part, 0);
      const own = Buffer.from(body.subarray(at, at + size)); // what was received is shared with other frames
      at += size;
      this.#table.publish(client, id, { value, body: own, bytes: size, block: null, refs: value.refs });
    });
  }

  /**
   * An object that stands for something else: when nobody holds it any more, `end` is called.
   * @param holder who holds it first
   * @param refs objects that live as long as it
   */
  represent(holder: number, id: string, refs: readonly string[], end: () => void): void {
    const number = this.#nextBlock++;
    this.#blocks.set(number, end);
    this.#table.reserve(SERVICE, id, number, 0);
    const value: Value = { f: 'raw', s: [0], at: '', refs: [] };
    this.#table.seal(SERVICE, id, { value, body: NOTHING, bytes: 0, block: number, refs }, [holder]);
  }

  /** Throws `OBJECT_LOST` when one of them is gone; then none is held. */
  hold(client: number, { ids }: Ids): void {
    const held = this.#table.hold(client, ids);
    if (!held.held) throw lost(held.gone.join(', '), 'nobody holds it any more');
  }

  drop(client: number, { ids }: Ids): void {
    this.#table.drop(client, ids);
  }

  close(client: number, { ids }: Ids): void {
    for (const id of ids) this.#table.close(client, id);
  }

  /**
   * Values, each open until it is closed if its bytes are in a block; waits for those that are promised.
   * @throws `OBJECT_LOST`; then none is open
   */
  async open(client: number, { ids }: Ids, signal: AbortSignal): Promise<WithBody> {
    const opened: Opened[] = [];
    const body: Buffer[] = [];
    try {
      for (const id of ids) {
        const [one, bytes] = await this.#open(client, id, signal);
        opened.push(one);
        body.push(bytes);
      }
    } catch (error) {
      opened.forEach(({ block }, at) => {
        if (block !== null) this.#table.close(client, ids[at] as string);
      });
      throw error;
    }
    return new WithBody(opened, body);
  }

  /** Where a slab can be opened. Throws `OBJECT_LOST` when it is not there any more. */
  slab(number: number): SlabPlace {
    const place = this.#slabs.where(number);
    if (place === null) throw lost(`slab ${number}`, 'it was given back');
    return { pid: process.pid, ...place };
  }

  status(): ObjectStatus {
    const { objects, inlineBytes, spilledBytes } = this.#table.totals();
    return { ...this.#slabs.stats(), objects, inlineBytes, spilledBytes };
  }

  list(): ObjectFacts[] {
    return [...this.#table.list()];
  }

  async #open(client: number, id: string, signal: AbortSignal): Promise<readonly [Opened, Buffer]> {
    for (;;) {
      signal.throwIfAborted();
      const look = this.#table.open(client, id);
      switch (look.kind) {
        case 'pending':
          await this.#fulfilled(client, id, signal);
          continue;
        case 'gone':
          throw lost(id, 'nobody held it any more');
        case 'lost':
          throw lost(id, whyLost(look));
        case 'failed':
          return [{ value: look.error.value, block: null }, look.error.body];
        case 'sealed': {
          const block = look.block === null ? undefined : this.#blocks.get(look.block);
          if (block === undefined || typeof block === 'function') {
            this.#table.close(client, id);
            return [{ value: look.value.value, block: null }, look.value.body];
          }
          return [{ value: look.value.value, block }, NOTHING];
        }
      }
    }
  }

  async #fulfilled(client: number, id: string, signal: AbortSignal): Promise<void> {
    const token = this.#nextToken++;
    if (this.#table.wait(client, id, token).kind !== 'pending') return;
    const wait = deferred<void>();
    this.#waits.set(`${client} ${token}`, wait);
    const withdraw = (): void => {
      this.#table.forget(client, token);
      wait.reject(signal.reason);
    };
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      await wait.promise;
    } finally {
      signal.removeEventListener('abort', withdraw);
      this.#waits.delete(`${client} ${token}`);
    }
  }

  #wake(waiters: readonly Waiter[]): void {
    for (const { client, token } of waiters) this.#waits.get(`${client} ${token}`)?.resolve();
  }

  #free(number: number): void {
    const block = this.#blocks.get(number);
    this.#blocks.delete(number);
    // Not inside an operation of the table: whoever is told may ask it something.
    if (typeof block === 'function') queueMicrotask(block);
    else if (block !== undefined) this.#slabs.free(block);
  }
}

const NOTHING = Buffer.alloc(0);

function lost(id: string, why: string): TwinkleError {
  return new TwinkleError('OBJECT_LOST', `object ${id} is lost: ${why}`);
}

function whyLost({ owner, reason }: Extract<Outcome<Kept>, { readonly kind: 'lost' }>): string {
  return reason === 'OWNER_DIED' ? `its owner, client ${owner}, ended before it had a value` : 'it was never written';
}
