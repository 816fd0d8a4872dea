/** A desk with a small store, a folder to spill to, and clients that write and read what can be told apart. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LetGo, ObjectDesk } from '../../../src/actors/object-desk.js';
import type { StoreResult } from '../../../src/actors/object-types.js';
import { type Memory, SlabStore } from '../../../src/actors/slab-store.js';
import type { Source } from '../../../src/actors/source.js';
import { type SpillFile, SpillFiles } from '../../../src/actors/spill-files.js';
import { TwinkleError } from '../../../src/errors.js';
import { createFakeNative } from '../../../src/native/fake.js';
import type { Block, Opened, Value } from '../../../src/protocol/work.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';

export const NEVER = new AbortController().signal;

/** Files whose copies begin and end when the test says so. */
export class PlayedFiles extends SpillFiles {
  /** Copies wait for it. */
  gate: Deferred<void> | null = null;
  /** What the next copies fail with. */
  failure: () => TwinkleError | null = () => null;
  /** Copies that have begun. */
  readonly begun = { write: 0, read: 0 };

  override write(from: Memory): Promise<Source> {
    return this.#play('write', () => super.write(from));
  }

  override read(file: SpillFile, to: Memory): Promise<void> {
    return this.#play('read', () => super.read(file, to));
  }

  close(): Deferred<void> {
    this.gate = deferred<void>();
    return this.gate;
  }

  async #play<T>(what: 'write' | 'read', copy: () => Promise<T>): Promise<T> {
    this.begun[what]++;
    await this.gate?.promise;
    const failure = this.failure();
    if (failure !== null) throw failure;
    return await copy();
  }
}

/** Bytes on another box: of these the letter is all there is. */
export class PlayedSource implements Source {
  readonly node = 'n-2';
  readonly bytes: number;
  readonly #letter: string;
  /** Reads wait for it. */
  gate: Deferred<void> | null = null;
  /** What the next reads fail with, in the middle. */
  failure: () => Error | null = () => null;
  /** Whether a read that nobody wants any more goes on. */
  deaf = false;
  reads = 0;
  removals = 0;

  constructor(bytes: number, letter: string) {
    this.bytes = bytes;
    this.#letter = letter;
  }

  async read(to: Memory, signal?: AbortSignal): Promise<void> {
    this.reads++;
    const half = Math.floor(to.size / 2);
    this.#write(to, 0, half);
    const withdrawn = deferred<never>();
    withdrawn.promise.catch(() => {});
    if (!this.deaf) signal?.addEventListener('abort', () => withdrawn.reject(signal.reason), { once: true });
    await Promise.race([this.gate?.promise, withdrawn.promise]);
    const failure = this.failure();
    if (failure !== null) throw failure;
    this.#write(to, half, to.size);
  }

  remove(): void {
    this.removals++;
  }

  #write(to: Memory, from: number, end: number): void {
    to.part(from, end - from).fill(this.#letter.charCodeAt(0));
  }
}

export const largeValue = (id: string, bytes: number, refs: string[] = []): Value => ({
  f: 'raw',
  s: [bytes],
  at: id,
  refs,
});

export const diskFull = (): TwinkleError => new TwinkleError('STORAGE_FAILED', 'the disk is full');

interface KitOptions {
  readonly capacity: number;
  readonly slabBytes?: number;
  readonly letGo?: LetGo;
}

export class SpillingKit implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-spilling-'));
  readonly files = new PlayedFiles(this.folder);
  readonly native = createFakeNative();
  readonly slabs: SlabStore;
  readonly desk: ObjectDesk;

  constructor({ capacity, slabBytes = capacity, letGo }: KitOptions) {
    this.slabs = new SlabStore(this.native, 'test', capacity, () => {}, slabBytes);
    this.desk = new ObjectDesk(this.slabs, this.files, letGo);
  }

  /** Room that the client has, or waits for. */
  async reserve(client: number, id: string, bytes: number, signal = NEVER): Promise<Block> {
    return await this.desk.reserve(client, { id, bytes }, signal);
  }

  /** Fill a block and seal it: of these bytes the letter is all there is. */
  seal(client: number, id: string, block: Block, letter: string, holders = [client]): void {
    this.slabs.memory(block).part(0, block.size).fill(letter.charCodeAt(0));
    this.desk.seal(client, { id, value: largeValue(id, block.size), holders });
  }

  async put(client: number, id: string, bytes: number, letter: string): Promise<void> {
    this.seal(client, id, await this.reserve(client, id, bytes), letter);
  }

  /** A value of that many bytes, sealed by the client, on another box. */
  putAway(client: number, id: string, source: Source, holders = [client]): StoreResult {
    return this.desk.sealAway(client, { id, value: largeValue(id, source.bytes), holders }, source);
  }

  /** Opened by the client; the letter that all of its bytes are. */
  async open(client: number, id: string, signal = NEVER): Promise<string> {
    const { value } = await this.desk.open(client, { ids: [id] }, signal);
    const [opened] = value as Opened[];
    return this.letters(opened?.block as Block);
  }

  /** What lies in a block: one letter when it is what somebody wrote. */
  letters({ slab, offset, size }: Block): string {
    const bytes = this.slabs.memory({ slab, offset, size }).part(0, size);
    const [first = 0] = bytes;
    return bytes.every((byte) => byte === first) ? String.fromCharCode(first) : 'a mixture';
  }

  close(client: number, id: string): void {
    this.desk.close(client, { ids: [id] });
  }

  drop(client: number, ...ids: string[]): void {
    this.desk.drop(client, { ids });
  }

  /** Object by object. */
  where(): Record<string, string> {
    return Object.fromEntries(this.desk.list().map(({ id, where }) => [id, where]));
  }

  get filesLeft(): number {
    return readdirSync(this.folder).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.files.gate?.resolve();
    await this.desk.settled();
    this.slabs[Symbol.dispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
