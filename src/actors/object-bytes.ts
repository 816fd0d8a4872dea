/**
 * Where the large bytes of objects are: blocks of memory by number, files and other boxes by object. Moves them out of memory and back.
 * Knows no clients.
 */
import { TwinkleError } from '../errors.js';
import type { Block } from '../protocol/work.js';
import { deferred } from '../util/deferred.js';
import type { BlockId, InUse, MoveResult, Outside, Place, Spillable } from './object-types.js';
import { RoomLine } from './room-line.js';
import type { Memory, SlabStore, SlabStoreStats } from './slab-store.js';
import type { Source } from './source.js';
import { SpillChoice } from './spill-choice.js';
import type { SpillFiles } from './spill-files.js';

/** What it asks the table of objects. */
export interface Moving {
  spillable(): Iterable<Spillable>;
  place(id: string): Place | null;
  inUse(): Iterable<InUse>;
  moved(id: string, to: BlockId | Outside): MoveResult;
}

export interface Spilling {
  readonly files: SpillFiles;
  /** See `RoomSource.letGo`. */
  letGo(collect: boolean): Promise<void> | null;
}

export interface BytesStatus extends SlabStoreStats {
  /** Those that are on this box's disk and not in its memory. */
  readonly spilledObjects: number;
  /** Ever written to disk. */
  readonly spillWrittenBytes: number;
  /** Ever read back from disk. */
  readonly spillReadBytes: number;
}

/** A block with its number, which no other ever has. */
export interface Numbered {
  readonly number: BlockId;
  readonly block: Block;
}

interface Restore {
  readonly withdrawn: AbortController;
  done: Promise<void>;
  /** It has room. From this box's disk, it goes on to its end. */
  reads: boolean;
  waiters: number;
}

export class ObjectBytes {
  readonly #slabs: SlabStore;
  readonly #table: Moving;
  readonly #spilling: Spilling | null;
  readonly #line: RoomLine<Numbered, Spillable>;
  readonly #blocks = new Map<BlockId, Block>();
  /** Blocks that are being copied to disk; true: free them afterwards. */
  readonly #copied = new Map<BlockId, boolean>();
  /** Blocks that the table does not have yet: they are filled, or whoever wanted them has not gone on. */
  readonly #early = new Set<BlockId>();
  /** Blocks that other boxes read, with how many do: that ends by itself. */
  readonly #visits = new Map<BlockId, number>();
  /** Of objects that are in memory, too: they need not be written again. */
  readonly #copies = new Map<BlockId, Source>();
  /** Of objects that are not in memory. */
  readonly #outside = new Map<string, Source>();
  readonly #restores = new Map<Source, Restore>();
  /** All that are under way, also those that nobody waits for any more. */
  readonly #bringing = new Set<Promise<void>>();
  readonly #numbers: () => BlockId;
  readonly #choice: SpillChoice;

  /**
   * @param spilling null: what has no room is refused
   * @param numbers each once
   */
  constructor(slabs: SlabStore, table: Moving, spilling: Spilling | null, numbers: () => BlockId) {
    this.#slabs = slabs;
    this.#table = table;
    this.#spilling = spilling;
    this.#numbers = numbers;
    this.#choice = new SpillChoice(slabs, { blocks: this.#blocks, early: this.#early, visits: this.#visits }, table);
    this.#line = new RoomLine({
      take: (bytes) => this.#take(bytes),
      plan: (bytes) => this.#choice.victims(bytes),
      soon: (bytes) => this.#choice.soon(bytes),
      leave: (victim) => this.#spill(victim),
      letGo: (collect) => spilling?.letGo(collect) ?? null,
      full: (bytes) => this.#choice.full(bytes),
    });
  }

  /**
   * Room for that many bytes, to be `given` or freed; null when it has to be waited for.
   * @throws `SHM_FULL` when waiting would not help, `INVALID_REQUEST`
   */
  roomNow(bytes: number): Numbered | null {
    const never = bytes > this.#slabs.stats().capacityBytes || !Number.isSafeInteger(bytes) || bytes < 1;
    if (this.#spilling === null || never) return this.#numbered(this.#slabs.reserve(bytes));
    return this.#line.now(bytes);
  }

  /**
   * The same; a promise of it when others have to leave for it. See `RoomLine.room`.
   * @throws `SHM_FULL`, `STORAGE_FAILED`, `INVALID_REQUEST`
   */
  room(bytes: number, signal: AbortSignal): Numbered | Promise<Numbered> {
    return this.roomNow(bytes) ?? this.#line.room(bytes, signal);
  }

  /** Undefined: it was freed. */
  block(number: BlockId): Block | undefined {
    return this.#blocks.get(number);
  }

  /** The table has it from now on. */
  given(number: BlockId): void {
    this.#early.delete(number);
    this.changed();
  }

  /** See `ObjectSink`. */
  free(number: BlockId): void {
    const block = this.#blocks.get(number);
    if (block === undefined) return;
    if (this.#copied.has(number)) {
      this.#copied.set(number, true);
      return;
    }
    this.#blocks.delete(number);
    this.#early.delete(number);
    const copy = this.#copies.get(number);
    this.#copies.delete(number);
    copy?.remove();
    this.#slabs.free(block);
    this.changed();
  }

  /** The table has an object whose bytes are there, with another box. Takes the source. */
  away(id: string, source: Source): void {
    this.#outside.set(id, source);
  }

  /** See `ObjectSink`. */
  unspill(id: string): void {
    const source = this.#outside.get(id);
    this.#outside.delete(id);
    source?.remove();
  }

  /** Whether it is not in memory, and never will be: the box that has it has left. */
  isLost(id: string): boolean {
    const source = this.#outside.get(id);
    return source !== undefined && isLost(source);
  }

  /** Id of the other node that has the object, whether or not it is in memory here, too; null: none. */
  nodeOf(id: string): string | null {
    const block = this.#table.place(id)?.block ?? null;
    const source = this.#outside.get(id) ?? (block === null ? undefined : this.#copies.get(block));
    return source === undefined || isLost(source) ? null : source.node;
  }

  /** Another box reads a block that is open for it. Call what is returned once, when it is closed. */
  visited(number: BlockId): () => void {
    this.#visits.set(number, (this.#visits.get(number) ?? 0) + 1);
    return () => {
      const left = (this.#visits.get(number) ?? 1) - 1;
      if (left > 0) this.#visits.set(number, left);
      else this.#visits.delete(number);
      this.changed();
    };
  }

  /** The memory of a block; undefined: it was freed. */
  memory(number: BlockId): Memory | undefined {
    const block = this.#blocks.get(number);
    return block === undefined ? undefined : this.#slabs.memory(block);
  }

  /** An object was closed, or written to its end. */
  changed(): void {
    this.#line.changed();
  }

  /**
   * Bring the bytes of an open object into memory, if they are not there; when it is gone, nothing happens.
   * @param signal ends the wait, with its reason
   * @throws `SHM_FULL`, `STORAGE_FAILED`, and what its source throws
   */
  async restore(id: string, signal: AbortSignal): Promise<void> {
    const source = this.#outside.get(id);
    if (source === undefined) return;
    const restore = this.#restores.get(source) ?? this.#begin(id, source);
    restore.waiters++;
    const ended = deferred<void>();
    const withdraw = (): void => ended.reject(signal.reason);
    signal.addEventListener('abort', withdraw, { once: true });
    restore.done.then(ended.resolve, ended.reject);
    try {
      await ended.promise;
    } finally {
      signal.removeEventListener('abort', withdraw);
      restore.waiters--;
      // A read of the disk is soon over; one of another box may never be.
      const ends = !restore.reads || source.node !== null;
      if (restore.waiters === 0 && ends) this.#withdraw(source, restore);
    }
  }

  /** Resolves when nothing is copied any more. */
  async settled(): Promise<void> {
    await this.#line.settled();
    await Promise.allSettled(this.#bringing);
    await this.#files?.settled();
  }

  status(): BytesStatus {
    const { writtenBytes = 0, readBytes = 0 } = this.#files?.stats ?? {};
    const spilledObjects = [...this.#outside.values()].filter(isHere).length;
    return { ...this.#slabs.stats(), spilledObjects, spillWrittenBytes: writtenBytes, spillReadBytes: readBytes };
  }

  get #files(): SpillFiles | null {
    return this.#spilling?.files ?? null;
  }

  #numbered(block: Block): Numbered {
    const number = this.#numbers();
    this.#blocks.set(number, block);
    this.#early.add(number);
    return { number, block };
  }

  #take(bytes: number): Numbered | null {
    try {
      return this.#numbered(this.#slabs.reserve(bytes));
    } catch (error) {
      if (!(error instanceof TwinkleError) || error.code !== 'SHM_FULL') throw error;
      this.#choice.refusal = error;
      return null;
    }
  }

  async #spill({ id, block: number }: Spillable): Promise<void> {
    const block = this.#blocks.get(number);
    // While the block is there, it is that object's, and no other has its id.
    const leaves = (): boolean => this.#table.place(id)?.opens === 0;
    if (block === undefined || this.#files === null || !leaves()) return;
    const kept = this.#copies.get(number);
    const copy = kept === undefined || isLost(kept) ? await this.#written(this.#files, number, block) : kept;
    const isThere = this.#blocks.has(number);
    if (isThere && kept !== copy) kept?.remove();
    if (!isThere) {
      copy.remove();
    } else if (leaves()) {
      this.#copies.delete(number);
      this.#outside.set(id, copy);
      this.#table.moved(id, isHere(copy) ? 'spilled' : 'away');
    } else {
      this.#copies.set(number, copy); // somebody reads it now: the next time it need not be written
    }
  }

  async #written(files: SpillFiles, number: BlockId, block: Block): Promise<Source> {
    this.#copied.set(number, false);
    try {
      return await files.write(this.#slabs.memory(block)).catch((error: unknown) => {
        if (!this.#dropCopies()) throw error;
        return files.settled().then(() => files.write(this.#slabs.memory(block)));
      });
    } finally {
      const free = this.#copied.get(number) === true;
      this.#copied.delete(number);
      if (free) this.free(number);
    }
  }

  /** The disk is full of what is in memory, too: that goes first. Returns whether there was any. */
  #dropCopies(): boolean {
    const onDisk = [...this.#copies].filter(([, copy]) => isHere(copy));
    for (const [number, copy] of onDisk) {
      this.#copies.delete(number);
      copy.remove();
    }
    return onDisk.length > 0;
  }

  #begin(id: string, source: Source): Restore {
    const restore: Restore = { withdrawn: new AbortController(), reads: false, waiters: 0, done: Promise.resolve() };
    this.#restores.set(source, restore);
    const done = this.#bringBack(id, source, restore).finally(() => {
      this.#forget(source, restore);
      this.#bringing.delete(done);
    });
    this.#bringing.add(done);
    done.catch(() => {}); // whoever waits for it hears it
    return Object.assign(restore, { done });
  }

  #withdraw(source: Source, restore: Restore): void {
    this.#forget(source, restore);
    restore.withdrawn.abort();
  }

  #forget(source: Source, restore: Restore): void {
    if (this.#restores.get(source) === restore) this.#restores.delete(source);
  }

  async #bringBack(id: string, source: Source, restore: Restore): Promise<void> {
    const { signal } = restore.withdrawn;
    const { number, block } = await this.room(source.bytes, signal);
    // Whether the object is the same that it was: it may be gone, and another have its id.
    const wanted = (): boolean => this.#outside.get(id) === source;
    restore.reads = true;
    try {
      if (!signal.aborted && wanted()) await source.read(this.#slabs.memory(block), signal);
    } catch (error) {
      this.free(number);
      if (wanted()) throw error;
      return;
    }
    if (signal.aborted || !wanted()) {
      this.free(number);
      return;
    }
    this.#outside.delete(id);
    this.#copies.set(number, source);
    this.#table.moved(id, number);
    this.given(number);
  }
}

/** Its box has left. */
function isLost(source: Source): boolean {
  return source.isLost?.() === true;
}

/** On this box's disk. */
function isHere({ node }: Source): boolean {
  return node === null;
}
