/** Bytes of objects on disk, while memory has no room for them: one file each, in a folder that ends with its service. */
import { close, open, read, unlink, write } from 'node:fs';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import type { Memory } from './slab-store.js';
import type { Source } from './source.js';

/** Bytes that are copied at once: a thread of the pool is another's turn after that. */
const CHUNK = 8 * 1024 * 1024;

/** One object's bytes. */
export class SpillFile implements Source {
  readonly path: string;
  readonly bytes: number;
  readonly node = null;
  readonly #files: SpillFiles;

  constructor(files: SpillFiles, path: string, bytes: number) {
    this.#files = files;
    this.path = path;
    this.bytes = bytes;
  }

  read(to: Memory): Promise<void> {
    return this.#files.read(this, to);
  }

  remove(): void {
    this.#files.remove(this);
  }
}

export interface SpillStats {
  /** Ever written to disk. */
  readonly writtenBytes: number;
  /** Ever read back. */
  readonly readBytes: number;
}

export class SpillFiles {
  readonly folder: string;
  readonly #removals = new Set<Promise<void>>();
  #writtenBytes = 0;
  #readBytes = 0;
  #next = 0;

  /** @param folder there, and 0700 */
  constructor(folder: string) {
    this.folder = folder;
  }

  get stats(): SpillStats {
    return { writtenBytes: this.#writtenBytes, readBytes: this.#readBytes };
  }

  /** Copy to disk; `from` must not change meanwhile. Throws `STORAGE_FAILED`; then nothing of it is left there. */
  async write(from: Memory): Promise<Source> {
    const path = join(this.folder, `${this.#next++}.object`);
    try {
      const fd = await opened(path, 'w');
      try {
        await copied(from, (part, at) => called((done) => write(fd, part, 0, part.length, at, done)));
      } finally {
        await closed(fd); // some file systems say only here that they are full
      }
    } catch (error) {
      await removed(path);
      throw this.#failed('written to', error);
    }
    this.#writtenBytes += from.size;
    return new SpillFile(this, path, from.size);
  }

  /** Copy back. The file stays until {@link remove}. Throws `STORAGE_FAILED`. */
  async read({ path }: Pick<SpillFile, 'path'>, to: Memory): Promise<void> {
    try {
      const fd = await opened(path, 'r');
      try {
        await copied(to, (part, at) => called((done) => read(fd, part, 0, part.length, at, done)));
      } finally {
        await closed(fd);
      }
    } catch (error) {
      throw this.#failed('read from', error);
    }
    this.#readBytes += to.size;
  }

  /** Not needed any more. Never throws: what cannot be removed goes with the folder. */
  remove({ path }: Pick<SpillFile, 'path'>): void {
    const removal = removed(path).then(() => void this.#removals.delete(removal));
    this.#removals.add(removal);
  }

  /** Resolves when what was removed is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  #failed(what: string, error: unknown): TwinkleError {
    const why = error instanceof Error ? error.message : String(error);
    return new TwinkleError(
      'STORAGE_FAILED',
      `memory has no room, and an object cannot be ${what} ${this.folder}: ${why}; make room on that disk, drop references, or start the head with another --object-spill-dir or a larger --object-store-memory`,
      { details: { folder: this.folder }, cause: error },
    );
  }
}

async function copied(all: Memory, move: (part: Uint8Array, position: number) => Promise<number>): Promise<void> {
  for (let at = 0; at < all.size; ) {
    const moved = await move(all.part(at, CHUNK), at);
    if (moved === 0) throw new Error(`the file ends ${all.size - at} bytes early`);
    at += moved;
  }
}

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function called<T>(call: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

const opened = (path: string, flags: string): Promise<number> => called((done) => open(path, flags, 0o600, done));
const closed = (fd: number): Promise<void> => called((done) => close(fd, (error) => done(error ?? null, undefined)));
const removed = (path: string): Promise<void> => new Promise((resolve) => unlink(path, () => resolve()));
