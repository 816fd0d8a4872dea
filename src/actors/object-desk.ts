/** What clients ask about objects: room, values, references. Joins the table of who keeps what with the slabs where bytes are. */
import { TwinkleError } from '../errors.js';
import type { Block, Ids, Opened, Publish, Reserve, Seal, SlabPlace, Value } from '../protocol/work.js';
import type { WithBody } from './client-peer.js';
import { type BytesStatus, ObjectBytes } from './object-bytes.js';
import { type Kept, lost, NOTHING, ObjectReader } from './object-reader.js';
import { ObjectTable } from './object-table.js';
import type { ObjectFacts, StoreResult } from './object-types.js';
import { Reservations } from './reservations.js';
import type { Memory, SlabStore } from './slab-store.js';
import type { Source } from './source.js';
import type { SpillFiles } from './spill-files.js';
import { IN_BLOCK, IN_FRAME, sizeOf } from './value-size.js';

/** Client of the service itself: it holds what has no other holder. */
export const SERVICE = 0;
/** Client of the service itself: has open what other boxes read. */
const VISITOR = -1;
const NEVER = new AbortController().signal;

/**
 * Asks those of the clients who keep objects open for nothing but the next time to close them; null: nobody has to be asked. Never rejects.
 * `collect`: also what nobody there can reach any more.
 */
export type LetGo = (openers: readonly number[], collect: boolean) => Promise<void> | null;

export interface ObjectStatus extends BytesStatus {
  readonly objects: number;
  readonly inlineBytes: number;
  /** Of objects that are on this box's disk and not in its memory. */
  readonly spilledBytes: number;
  /** Of objects that are on other boxes only. */
  readonly awayBytes: number;
}

/** The bytes of an object that another box reads: they stay where they are until it is closed. */
export interface OutgoingObject extends Memory {
  /** Idempotent. */
  close(): void;
}

/** What is answered to another box: see `ObjectDesk.find`. */
export interface FoundObject {
  readonly value: Value;
  readonly body: Uint8Array;
  readonly node: string | typeof HERE | null;
}

export const HERE = Symbol('here');

export class ObjectDesk {
  readonly #table: ObjectTable<Kept>;
  readonly #slabs: SlabStore;
  readonly #bytes: ObjectBytes;
  readonly #reserved: Reservations;
  readonly #reader: ObjectReader;
  /** What ends with its object, by the number that the table has for a block. */
  readonly #ends = new Map<number, () => void>();
  /** Nodes of other boxes that were told where an object is: they may have copies. */
  readonly #abroad = new Map<string, Set<string>>();
  #onEnded: (id: string, nodes: ReadonlySet<string>) => void = () => {};
  #nextBlock = 0;

  /** @param spill where objects go while memory has no room; null: what has no room is refused */
  constructor(slabs: SlabStore, spill: SpillFiles | null = null, letGo: LetGo = () => null) {
    this.#slabs = slabs;
    this.#table = new ObjectTable<Kept>({
      free: (block) => this.#free(block),
      unspill: (id) => this.#bytes.unspill(id),
      isLost: (id) => this.#bytes.isLost(id),
      ended: (id) => this.#abroadEnded(id),
      fulfilled: (_id, outcome, waiters) => this.#reader.fulfilled(outcome, waiters),
    });
    const spilling =
      spill === null ? null : { files: spill, letGo: (collect: boolean) => letGo(this.#openers(), collect) };
    this.#bytes = new ObjectBytes(slabs, this.#table, spilling, () => this.#nextBlock++);
    this.#reserved = new Reservations(this.#table, this.#bytes);
    this.#reader = new ObjectReader(this.#table, this.#bytes);
    this.#table.clientJoined(SERVICE);
    this.#table.clientJoined(VISITOR);
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
  seal(client: number, { id, value, holders }: Seal, refs: readonly string[] = value.refs): StoreResult {
    const block = this.#reserved.of(client, id);
    const room = block === undefined ? undefined : this.#bytes.block(block);
    if (block === undefined || room === undefined) {
      throw invalid(`expected room that was reserved for \`${id}\` but received none; reserve it, write it, then seal`);
    }
    const size = sizeOf(value, IN_BLOCK);
    if (size > room.size) throw invalid(`expected at most ${room.size} bytes for \`${id}\` but received ${size}`);
    const kept = { value, body: NOTHING, bytes: 0, block, refs };
    const result = this.#table.seal(client, id, kept, holders);
    this.#reserved.end(client, id);
    this.#bytes.changed();
    return result;
  }

  /**
   * A value whose bytes are on another box; room that was reserved for it here is free again. Unless this throws, the source is taken: it is
   * removed when the object ends, at once where that is `late` (it has a value already) or `gone` (nobody keeps it).
   * @throws `INVALID_REQUEST` when it cannot be all of the bytes, `PROTOCOL` for references to what is not known
   */
  sealAway(client: number, { id, value, holders }: Seal, source: Source): StoreResult {
    return this.#sealAway(client, id, holders, { value, refs: value.refs, adopted: false }, source);
  }

  /**
   * The same for an object of which others keep count: it is here for its readers, what is inside is not counted, and it is held by
   * {@link SERVICE} until that drops it. Idempotent.
   * @throws `INVALID_REQUEST`
   */
  adoptAway(id: string, value: Value, source: Source): StoreResult {
    return this.#sealAway(SERVICE, id, [SERVICE], { value, refs: [], adopted: true }, source);
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

  /** Whether it has a value with large bytes, wherever they are. */
  has(id: string): boolean {
    const place = this.#table.place(id);
    if (place === null) return false;
    return place.outside !== null || (place.block !== null && this.#bytes.block(place.block) !== undefined);
  }

  /** Whether the large bytes that it has are lost with the box that had them. */
  isLost(id: string): boolean {
    return this.#bytes.isLost(id);
  }

  /**
   * The large bytes of an object for a reader on another box, brought into memory if they are not there.
   * @param signal ends the wait
   * @throws `OBJECT_LOST` when it is not known, has no value yet, is small, or was only adopted and is not in memory: two boxes could
   * wait for each other for ever; `SHM_FULL`, `STORAGE_FAILED`, what its source throws
   */
  async takeOut(id: string, signal: AbortSignal = NEVER): Promise<OutgoingObject> {
    const look = this.#table.open(VISITOR, id);
    if (look.kind === 'sealed') this.#table.close(VISITOR, id);
    if (look.kind !== 'sealed' || !this.has(id)) throw lost(id, 'this node does not have its bytes');
    const { value, adopted = false } = look.value;
    if (adopted && this.#table.place(id)?.outside === 'away') {
      const node = this.#bytes.nodeOf(id);
      throw lost(id, `its bytes are on node ${node}, not on this one`, { node });
    }
    await this.#reader.open(VISITOR, { ids: [id] }, signal);
    return this.#outgoing(id, sizeOf(value, IN_BLOCK));
  }

  /**
   * For a client of another box that opens what is not there: waits until it has a value. From now on the end of a large one is told to
   * {@link onEnded}, with that box among the nodes.
   * @param node of the client
   * @returns `node` that has the large bytes; `here`: this one; null: they are in `body`
   * @throws `OBJECT_LOST`
   */
  async find(client: number, id: string, node: string, signal: AbortSignal): Promise<FoundObject> {
    const { value: opened, body } = await this.#reader.look(client, id, signal);
    const { value } = opened as Opened;
    if (value.at === '') return { value, body: body[0] ?? NOTHING, node: null };
    this.#table.watch(id);
    this.#abroad.set(id, (this.#abroad.get(id) ?? new Set()).add(node));
    const source = this.#bytes.nodeOf(id);
    return { value, body: NOTHING, node: source === null || source === node ? HERE : source };
  }

  /** Who tells other boxes that an object has ended of which they may have copies. */
  onEnded(listener: (id: string, nodes: ReadonlySet<string>) => void): void {
    this.#onEnded = listener;
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
    const { objects, inlineBytes, spilledBytes, awayBytes } = this.#table.totals();
    return { ...this.#bytes.status(), objects, inlineBytes, spilledBytes, awayBytes };
  }

  /** Resolves when nothing is copied any more. To be asked once all clients have gone. */
  settled(): Promise<void> {
    return this.#bytes.settled();
  }

  list(): ObjectFacts[] {
    return [...this.#table.list()];
  }

  #abroadEnded(id: string): void {
    const nodes = this.#abroad.get(id);
    this.#abroad.delete(id);
    if (nodes !== undefined) this.#onEnded(id, nodes);
  }

  /** See `LetGo`. Other boxes close what they read by themselves. */
  #openers(): number[] {
    return this.#table.openers().filter((client) => client !== VISITOR);
  }

  #sealAway(
    client: number,
    id: string,
    holders: readonly number[],
    what: Pick<Kept, 'value' | 'refs' | 'adopted'>,
    source: Source,
  ): StoreResult {
    const { bytes } = source;
    const size = sizeOf(what.value, IN_BLOCK);
    if (!Number.isSafeInteger(bytes) || bytes < Math.max(size, 1)) {
      throw invalid(`expected all ${size} bytes of \`${id}\` but its source has ${bytes}`);
    }
    const kept = { ...what, body: NOTHING, bytes: 0, block: null };
    const result = this.#table.sealAway(client, id, kept, bytes, holders);
    this.#reserved.end(client, id);
    if (result === 'stored') this.#bytes.away(id, source);
    else source.remove();
    this.#bytes.changed();
    return result;
  }

  /** The first bytes of an object that is open for the visitor. */
  #outgoing(id: string, size: number): OutgoingObject {
    const number = this.#table.place(id)?.block ?? null;
    const memory = number === null ? undefined : this.#bytes.memory(number);
    if (number === null || memory === undefined) throw lost(id, 'it was not open');
    const left = this.#bytes.visited(number);
    let closed = false;
    return {
      size,
      part: (at, most) => {
        if (closed) throw new Error(`object ${id} was closed: its memory may be another's`);
        return memory.part(at, Math.min(most, size - at));
      },
      close: () => {
        if (closed) return;
        closed = true;
        this.#table.close(VISITOR, id);
        left();
      },
    };
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
