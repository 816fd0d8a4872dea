/** Where the large bytes of objects are: blocks of memory by number, files by object. Moves them to disk and back. Knows no clients. */
import { TwinkleError } from '../errors.js';
import type { Block } from '../protocol/work.js';
import { deferred } from '../util/deferred.js';
import type { BlockId, InUse, MoveResult, Spillable } from './object-types.js';
import { RoomLine } from './room-line.js';
import type { SlabStore, SlabStoreStats } from './slab-store.js';
import { SpillChoice } from './spill-choice.js';
import type { SpillFile, SpillFiles } from './spill-files.js';

/** What it asks the table of objects. */
export interface Moving {
  spillable(): Iterable<Spillable>;
  place(id: string): { readonly block: BlockId | null; readonly opens: number } | null;
  inUse(): Iterable<InUse>;
  moved(id: string, to: BlockId | 'spilled'): MoveResult;
}

export interface Spilling {
  readonly files: SpillFiles;
  /** See `RoomSource.letGo`. */
  letGo(collect: boolean): Promise<void> | null;
}

export interface BytesStatus extends SlabStoreStats {
  /** Those that are on disk and nowhere else. */
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
  /** It has room, and goes on to its end. */
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
  /** Blocks that the table does not have yet: they are filled from disk, or whoever wanted them has not gone on. */
  readonly #early = new Set<BlockId>();
  /** Files of objects that are in memory, too: they need not be written again. */
  readonly #copies = new Map<BlockId, SpillFile>();
  /** Files of objects that are nowhere else. */
  readonly #spilled = new Map<string, SpillFile>();
  readonly #restores = new Map<SpillFile, Restore>();
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
    this.#choice = new SpillChoice(slabs, this.#blocks, this.#early, table);
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
    if (copy !== undefined) this.#files?.remove(copy);
    this.#slabs.free(block);
    this.changed();
  }

  /** See `ObjectSink`. */
  unspill(id: string): void {
    const file = this.#spilled.get(id);
    this.#spilled.delete(id);
    if (file !== undefined) this.#files?.remove(file);
  }

  /** An object was closed, or written to its end. */
  changed(): void {
    this.#line.changed();
  }

  /**
   * Bring the bytes of an open object back, if they are on disk; when it is gone, nothing happens.
   * @param signal ends the wait, with its reason
   * @throws `SHM_FULL`, `STORAGE_FAILED`
   */
  async restore(id: string, signal: AbortSignal): Promise<void> {
    const file = this.#spilled.get(id);
    if (file === undefined) return;
    const restore = this.#restores.get(file) ?? this.#begin(id, file);
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
      if (restore.waiters === 0 && !restore.reads) this.#withdraw(file, restore);
    }
  }

  /** Resolves when nothing is copied any more. */
  async settled(): Promise<void> {
    await this.#line.settled();
    await Promise.allSettled([...this.#restores.values()].map(({ done }) => done));
    await this.#files?.settled();
  }

  status(): BytesStatus {
    const { writtenBytes = 0, readBytes = 0 } = this.#files?.stats ?? {};
    const spilled = { spilledObjects: this.#spilled.size, spillWrittenBytes: writtenBytes, spillReadBytes: readBytes };
    return { ...this.#slabs.stats(), ...spilled };
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
    const file = this.#copies.get(number) ?? (await this.#written(this.#files, number, block));
    if (!this.#blocks.has(number)) {
      this.#files.remove(file);
    } else if (leaves()) {
      this.#copies.delete(number);
      this.#spilled.set(id, file);
      this.#table.moved(id, 'spilled');
    } else {
      this.#copies.set(number, file); // somebody reads it now: the next time it need not be written
    }
  }

  async #written(files: SpillFiles, number: BlockId, block: Block): Promise<SpillFile> {
    this.#copied.set(number, false);
    try {
      return await files.write(this.#slabs.memory(block)).catch((error: unknown) => {
        if (this.#copies.size === 0) throw error;
        return this.#again(files, block);
      });
    } finally {
      const free = this.#copied.get(number) === true;
      this.#copied.delete(number);
      if (free) this.free(number);
    }
  }

  /** The disk is full of what is in memory, too: that goes first. */
  async #again(files: SpillFiles, block: Block): Promise<SpillFile> {
    for (const copy of this.#copies.values()) files.remove(copy);
    this.#copies.clear();
    await files.settled();
    return await files.write(this.#slabs.memory(block));
  }

  #begin(id: string, file: SpillFile): Restore {
    const restore: Restore = { withdrawn: new AbortController(), reads: false, waiters: 0, done: Promise.resolve() };
    this.#restores.set(file, restore);
    restore.done = this.#bringBack(id, file, restore).finally(() => this.#forget(file, restore));
    restore.done.catch(() => {}); // whoever waits for it hears it
    return restore;
  }

  #withdraw(file: SpillFile, restore: Restore): void {
    this.#forget(file, restore);
    restore.withdrawn.abort();
  }

  #forget(file: SpillFile, restore: Restore): void {
    if (this.#restores.get(file) === restore) this.#restores.delete(file);
  }

  async #bringBack(id: string, file: SpillFile, restore: Restore): Promise<void> {
    const { signal } = restore.withdrawn;
    const { number, block } = await this.room(file.bytes, signal);
    // Whether the object is the same that it was: it may be gone, and another have its id.
    const wanted = (): boolean => this.#spilled.get(id) === file;
    restore.reads = true;
    try {
      if (!signal.aborted && wanted()) await this.#files?.read(file, this.#slabs.memory(block));
    } catch (error) {
      this.free(number);
      if (wanted()) throw error;
      return;
    }
    if (signal.aborted || !wanted()) {
      this.free(number);
      return;
    }
    this.#spilled.delete(id);
    this.#copies.set(number, file);
    this.#table.moved(id, number);
    this.given(number);
  }
}
