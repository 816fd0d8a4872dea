/** What clients ask about objects: room, values, references. Joins the table of who keeps what with the slabs where bytes are. */
import { TwinkleError } from '../errors.js';
import type { Block, Ids, Opened, Publish, Reserve, Seal, SlabPlace, Value } from '../protocol/work.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { WithBody } from './client-peer.js';
import { ObjectTable } from './object-table.js';
import type { Look, ObjectFacts, Outcome, StoredValue } from './object-types.js';
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
  /** Answers that wait for a value, by token. */
  readonly #waits = new Map<number, Deferred<Outcome<Kept>>>();
  /** Blocks that are being written, by client and object. */
  readonly #reserved = new Map<number, Map<string, number>>();
  #nextBlock = 0;
  #nextToken = 0;

  constructor(slabs: SlabStore) {
    this.#slabs = slabs;
    this.#table = new ObjectTable<Kept>({
      free: (block) => this.#free(block),
      unspill: () => {},
      fulfilled: (_id, outcome, waiters) => {
        for (const { token } of waiters) this.#waits.get(token)?.resolve(outcome);
      },
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

  /** Room for the bytes of an object that nobody can read yet. Throws `SHM_FULL`, `INVALID_REQUEST`. */
  reserve(client: number, { id, bytes }: Reserve): Block {
    if (this.#reserved.get(client)?.has(id)) throw invalid(`expected one reservation of \`${id}\` but received two`);
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

  /** The bytes are written. Throws `INVALID_REQUEST` when there is no room for them, `PROTOCOL` for references to what is not known. */
  seal(client: number, { id, value, holders }: Seal): void {
    const own = this.#reserved.get(client);
    const block = own?.get(id);
    const room = block === undefined ? undefined : this.#blocks.get(block);
    if (block === undefined || room === undefined || typeof room === 'function') {
      throw invalid(`expected room that was reserved for \`${id}\` but received none; reserve it, write it, then seal`);
    }
    const size = sizeOf(value, ALIGN);
    if (size > room.size) throw invalid(`expected at most ${room.size} bytes for \`${id}\` but received ${size}`);
    this.#table.seal(client, id, { value, body: NOTHING, bytes: 0, block, refs: value.refs }, holders);
    own?.delete(id);
  }

  /** Its bytes will not be written. Nothing happens when nothing was reserved. */
  abandon(client: number, id: string): void {
    this.#reserved.get(client)?.delete(id);
    this.#table.abandon(client, id);
  }

  /**
   * Small values, and promises of values. One whose bytes lie with the node already is held, no more.
   * @throws `INVALID_REQUEST` when the body does not fit, `PROTOCOL` for references to what is not known, `OBJECT_LOST`
   */
  publish(client: number, { ids, values }: Publish, body: Buffer): void {
    if (ids.length !== values.length) {
      throw invalid(`expected a value, or null, for each of ${ids.length} \`ids\` but received ${values.length}`);
    }
    const sizes = values.map((value) => (value === null || value.at !== '' ? 0 : sizeOf(value, 1)));
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (total !== body.byteLength) throw invalid(`expected a body of ${total} bytes but received ${body.byteLength}`);
    let at = 0;
    ids.forEach((id, index) => {
      const value = values[index] ?? null;
      const size = sizes[index] ?? 0;
      if (value === null) {
        this.#table.promise(client, id);
      } else if (value.at !== '') {
        if (value.at !== id) throw invalid(`expected the value of \`${id}\` but received that of \`${value.at}\``);
        this.hold(client, { ids: [id] });
      } else {
        const own = Buffer.from(body.subarray(at, at + size)); // what was received is shared with other frames
        at += size;
        this.#table.publish(client, id, { value, body: own, bytes: size, block: null, refs: value.refs });
      }
    });
  }

  /**
   * An object that stands for something else: when nobody holds it any more, `end` is called.
   * @param holder who holds it first
   * @param refs objects that live as long as it
   * @throws `INVALID_REQUEST` when there is an object of that id, `PROTOCOL` for references to what is not known; then `end` is not called
   */
  represent(holder: number, id: string, refs: readonly string[], end: () => void): void {
    if (this.knows(id)) throw invalid(`expected an id that nobody has for \`id\` but received ${id}`);
    const number = this.#nextBlock++;
    this.#table.reserve(SERVICE, id, number, 0);
    const value: Value = { f: 'raw', s: [0], at: '', refs: [] };
    try {
      this.#blocks.set(number, end);
      this.#table.seal(SERVICE, id, { value, body: NOTHING, bytes: 0, block: number, refs }, [holder]);
    } catch (error) {
      this.#blocks.delete(number);
      this.#table.abandon(SERVICE, id);
      throw error;
    }
  }

  /** Whether there is such an object, or a promise of it. */
  knows(id: string): boolean {
    const { kind } = this.#table.open(SERVICE, id);
    if (kind === 'sealed') this.#table.close(SERVICE, id);
    return kind !== 'gone';
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
    signal.throwIfAborted();
    const look = this.#table.open(client, id);
    if (look.kind !== 'pending') return this.#opened(client, id, look);
    const outcome = await this.#fulfilled(client, id, signal);
    signal.throwIfAborted();
    const now = this.#table.open(client, id);
    // Where nobody but who waited kept it, it is gone by now; what does not lie in a block came with the word.
    const last = now.kind === 'gone' && (outcome.kind !== 'sealed' || outcome.block === null) ? outcome : now;
    return this.#opened(client, id, last);
  }

  #opened(client: number, id: string, look: Look<Kept>): readonly [Opened, Buffer] {
    switch (look.kind) {
      case 'pending':
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

  async #fulfilled(client: number, id: string, signal: AbortSignal): Promise<Outcome<Kept>> {
    const token = this.#nextToken++;
    this.#table.wait(client, id, token);
    const wait = deferred<Outcome<Kept>>();
    this.#waits.set(token, wait);
    const withdraw = (): void => {
      this.#table.forget(client, token);
      wait.reject(signal.reason);
    };
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      return await wait.promise;
    } finally {
      signal.removeEventListener('abort', withdraw);
      this.#waits.delete(token);
    }
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
/** Parts of a value in a block begin at multiples of it. */
const ALIGN = 64;

/** Bytes of a value whose parts begin at multiples of `align`. The last part need not be filled up. */
function sizeOf({ s: sizes }: Value, align: number): number {
  let end = 0;
  for (const size of sizes) {
    if (size < 0) throw invalid(`expected sizes from 0 for \`s\` but received ${size}`);
    end = Math.ceil(end / align) * align + size;
  }
  return end;
}

function invalid(message: string): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', message);
}

function lost(id: string, why: string): TwinkleError {
  return new TwinkleError('OBJECT_LOST', `object ${id} is lost: ${why}`);
}

function whyLost({ owner, reason }: Extract<Outcome<Kept>, { readonly kind: 'lost' }>): string {
  return reason === 'OWNER_DIED' ? `its owner, client ${owner}, ended before it had a value` : 'it was never written';
}
