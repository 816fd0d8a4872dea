/** Slabs of the node, opened by this process: written to by system calls, read through private mappings. */
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import { type Block, PART_ALIGN, type SlabPlace } from '../protocol/work.js';

/** More than that is written beside the event loop. */
const LONG_WRITE = 1024 * 1024;

export class Slabs implements Disposable {
  readonly #native: Pick<Native, 'mapPrivate'>;
  readonly #where: (slab: number) => Promise<SlabPlace>;
  /** Handles, not descriptors: of one that was closed meanwhile nothing is written to what has its number now. */
  readonly #open = new Map<number, Promise<FileHandle>>();

  constructor(native: Pick<Native, 'mapPrivate'>, where: (slab: number) => Promise<SlabPlace>) {
    this.#native = native;
    this.#where = where;
  }

  /** Write the parts of a value to a block. */
  async write({ slab, offset }: Block, parts: readonly Uint8Array[]): Promise<void> {
    const file = await this.#file(slab);
    let at = offset;
    for (const part of parts) {
      for (let done = 0; done < part.byteLength; ) {
        const left = part.byteLength - done;
        done +=
          left <= LONG_WRITE
            ? writeSync(file.fd, part, done, left, at + done)
            : (await file.write(part, done, left, at + done)).bytesWritten;
      }
      at += aligned(part.byteLength);
    }
  }

  /** The parts of a value in a block, without a copy. What is written to them stays in this process. */
  async read(
    { slab, offset, size }: Block,
    sizes: readonly number[],
  ): Promise<{ readonly memory: ArrayBuffer; readonly parts: Uint8Array[] }> {
    const { fd } = await this.#file(slab);
    const memory = this.#native.mapPrivate(fd, offset, size);
    let at = 0;
    const parts = sizes.map((bytes) => {
      const part = new Uint8Array(memory, at, bytes);
      at += aligned(bytes);
      return part;
    });
    return { memory, parts };
  }

  /** The node has given it back. */
  forget(slab: number): void {
    const opened = this.#open.get(slab);
    this.#open.delete(slab);
    opened?.then((file) => file.close()).catch(() => {});
  }

  [Symbol.dispose](): void {
    for (const slab of [...this.#open.keys()]) this.forget(slab);
  }

  async #file(slab: number): Promise<FileHandle> {
    const known = this.#open.get(slab);
    if (known !== undefined) return await known;
    const opening = this.#where(slab).then(async ({ pid, fd }) => {
      try {
        return await open(`/proc/${pid}/fd/${fd}`, 'r+');
      } catch (error) {
        throw new TwinkleError('OBJECT_LOST', `the object store of process ${pid} cannot be opened: ${String(error)}`, {
          cause: error,
        });
      }
    });
    this.#open.set(slab, opening);
    try {
      return await opening;
    } catch (error) {
      this.#open.delete(slab);
      throw error;
    }
  }
}

/** Bytes from the begin of a part to that of the next. */
export function aligned(bytes: number): number {
  return Math.ceil(bytes / PART_ALIGN) * PART_ALIGN;
}
