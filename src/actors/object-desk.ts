/** What clients ask about objects: room, values, references. Joins the table of who keeps what with the slabs where bytes are. */
import { TwinkleError } from '../errors.js';
import type { Block, Ids, Publish, Reserve, Seal, SlabPlace, Value } from '../protocol/work.js';
import type { WithBody } from './client-peer.js';
import { type BytesStatus, ObjectBytes } from './object-bytes.js';
import { type Kept, lost, NOTHING, ObjectReader } from './object-reader.js';
import { ObjectTable } from './object-table.js';
import type { ObjectFacts } from './object-types.js';
import { Reservations } from './reservations.js';
import type { SlabStore } from './slab-store.js';
import type { SpillFiles } from './spill-files.js';
import { IN_BLOCK, IN_FRAME, sizeOf } from './value-size.js';

/** Client of the service itself: it holds what has no other holder. */
export const SERVICE = 0;

/**
 * Asks those of the clients who keep objects open for nothing but the next time to close them; null: nobody has to be asked. Never rejects.
 * `collect`: also what nobody there can reach any more.
 */
export type LetGo = (openers: readonly number[], collect: boolean) => Promise<void> | null;

export interface ObjectStatus extends BytesStatus {
  readonly objects: number;
  readonly inlineBytes: number;
  /** Of objects that are on disk and nowhere else. */
  readonly spilledBytes: number;
}

export class ObjectDesk {
  readonly #table: ObjectTable<Kept>;
  readonly #slabs: SlabStore;
  readonly #bytes: ObjectBytes;
  readonly #reserved: Reservations;
  readonly #reader: ObjectReader;
  /** What ends with its object, by the number that the table has for a block. */
  readonly #ends = new Map<number, () => void>();
  #nextBlock = 0;

  /** @param spill where objects go while memory has no room; null: what has no room is refused */
  constructor(slabs: SlabStore, spill: SpillFiles | null = null, letGo: LetGo = () => null) {
    this.#slabs = slabs;
    this.#table = new ObjectTable<Kept>({
      free: (block) => this.#free(block),
      unspill: (id) => this.#bytes.unspill(id),
      fulfilled: (_id, outcome, waiters) => this.#reader.fulfilled(outcome, waiters),
    });
    const spilling =
      spill === null ? null : { files: spill, letGo: (collect: boolean) => letGo(this.#table.openers(), collect) };
    this.#bytes = new ObjectBytes(slabs, this.#table, spilling, () => this.#nextBlock++);
    this.#reserved = new Reservations(this.#table, this.#bytes);
    this.#reader = new ObjectReader(this.#table, this.#bytes);
    this.#table.clientJoined(SERVICE);
  }

  joined(client: number): void {
    this.#reserved.joined(client);
    this.#table.clientJoined(client);
  }

  gone(client: number): void {
    this.#reserved.gone(client);
    this.#table.clientGone(client);
    this.#bytes.changed();
  }

  /**
   * Room for the bytes of an object that nobody can read yet, now or when others have left memory for it.
   * @param signal ends the wait
   * @throws `SHM_FULL`, `STORAGE_FAILED`, `INVALID_REQUEST`, `ABORTED`
   */
  reserve(client: number, params: Reserve, signal: AbortSignal): Block | Promise<Block> {
    return this.#reserved.reserve(client, params, signal);
  }

  /** The bytes are written. Throws `INVALID_REQUEST` when there is no room for them, `PROTOCOL` for references to what is not known. */
  seal(client: number, { id, value, holders }: Seal): void {
    const block = this.#reserved.of(client, id);
    const room = block === undefined ? undefined : this.#bytes.block(block);
    if (block === undefined || room === undefined) {
      throw invalid(`expected room that was reserved for \`${id}\` but received none; reserve it, write it, then seal`);
    }
    const size = sizeOf(value, IN_BLOCK);
    if (size > room.size) throw invalid(`expected at most ${room.size} bytes for \`${id}\` but received ${size}`);
    this.#table.seal(client, id, { value, body: NOTHING, bytes: 0, block, refs: value.refs }, holders);
    this.#reserved.end(client, id);
    this.#bytes.changed();
  }

  /** Its bytes will not be written. Nothing happens when nothing was reserved. */
  abandon(client: number, id: string): void {
    this.#reserved.end(client, id);
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
    const sizes = values.map((value) => (value === null || value.at !== '' ? 0 : sizeOf(value, IN_FRAME)));
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
      this.#ends.set(number, end);
      this.#table.seal(SERVICE, id, { value, body: NOTHING, bytes: 0, block: number, refs }, [holder]);
    } catch (error) {
      this.#ends.delete(number);
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
    this.#bytes.changed();
  }

  /** See `ObjectReader.open`. */
  open(client: number, params: Ids, signal: AbortSignal): Promise<WithBody> {
    return this.#reader.open(client, params, signal);
  }

  /** See `ObjectReader.look`. */
  look(client: number, id: string, signal: AbortSignal): Promise<WithBody> {
    return this.#reader.look(client, id, signal);
  }

  /** Where a slab can be opened. Throws `OBJECT_LOST` when it is not there any more. */
  slab(number: number): SlabPlace {
    const place = this.#slabs.where(number);
    if (place === null) throw lost(`slab ${number}`, 'it was given back');
    return { pid: process.pid, ...place };
  }

  status(): ObjectStatus {
    const { objects, inlineBytes, spilledBytes } = this.#table.totals();
    return { ...this.#bytes.status(), objects, inlineBytes, spilledBytes };
  }

  /** Resolves when nothing is copied any more. To be asked once all clients have gone. */
  settled(): Promise<void> {
    return this.#bytes.settled();
  }

  list(): ObjectFacts[] {
    return [...this.#table.list()];
  }

  #free(number: number): void {
    const end = this.#ends.get(number);
    this.#ends.delete(number);
    // Not inside an operation of the table: whoever is told may ask it something.
    if (end !== undefined) queueMicrotask(end);
    else this.#bytes.free(number);
  }
}

function invalid(message: string): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', message);
}
