/**
 * Memory for large objects: slabs (sealed memfds with an arena each), made as they are needed, up to a capacity. A slab that is empty is kept
 * for the next object, because its pages are there already: fresh ones cost ten times a copy. Knows bytes and offsets, not objects.
 */
import { TwinkleError } from '../errors.js';
import type { Native, NativeArena, NativeSegment } from '../native/types.js';
import type { Block } from '../protocol/work.js';

const SLAB_BYTES = 64 * 1024 * 1024;
const PAGE = 4096;
/** Blocks are counted here, by the table of objects: the arena sees one holder. */
const HOLDER = 0;

interface Slab {
  readonly segment: NativeSegment;
  readonly arena: NativeArena;
}

/** Bytes that may be more than one view can show. */
export interface Memory {
  readonly size: number;
  /** From `at` on, at most so many. */
  part(at: number, most: number): Uint8Array;
}

export interface SlabStoreStats {
  /** Bytes that blocks may take. */
  readonly capacityBytes: number;
  /** Bytes of all blocks. */
  readonly usedBytes: number;
  /** Bytes of all slabs: what the machine's memory holds. */
  readonly slabBytes: number;
}

export class SlabStore implements Disposable {
  readonly #native: Native;
  readonly #name: string;
  readonly #capacity: number;
  readonly #slabBytes: number;
  readonly #slabs = new Map<number, Slab>();
  readonly #onGone: (slab: number) => void;
  #next = 0;

  /**
   * @param name shown in /proc/…/maps
   * @param capacity bytes of all slabs together
   * @param onGone a slab was given back: nobody may map it any more
   * @param slabBytes of a slab; a larger object has one of its own
   */
  constructor(native: Native, name: string, capacity: number, onGone: (slab: number) => void, slabBytes = SLAB_BYTES) {
    this.#native = native;
    this.#name = name;
    this.#capacity = capacity;
    this.#slabBytes = slabBytes;
    this.#onGone = onGone;
  }

  /**
   * Room for that many bytes (at least 1), at a multiple of 64.
   * @throws `SHM_FULL` when the capacity, or the machine's memory, is used up; `INVALID_REQUEST`
   */
  reserve(bytes: number): Block {
    if (!Number.isSafeInteger(bytes) || bytes < 1) {
      throw new TwinkleError('INVALID_REQUEST', `expected at least 1 for \`bytes\` but received ${bytes}`);
    }
    for (const [slab, { arena }] of this.#slabs) {
      if (arena.stats().largestFreeBytes < bytes) continue;
      return { slab, offset: arena.alloc(bytes, HOLDER), size: bytes };
    }
    const slab = this.#grow(Math.max(bytes, Math.min(this.#slabBytes, this.#capacity)), bytes);
    const { arena } = this.#slabs.get(slab) as Slab;
    return { slab, offset: arena.alloc(bytes, HOLDER), size: bytes };
  }

  /** Give a block back. Its pages stay, for the next. */
  free({ slab, offset }: Pick<Block, 'slab' | 'offset'>): void {
    this.#slabs.get(slab)?.arena.release(offset, HOLDER);
  }

  /** Where others of this user can open it: a descriptor of this process. Null: there is no such slab (any more). */
  where(slab: number): { readonly fd: number; readonly size: number } | null {
    const found = this.#slabs.get(slab);
    return found === undefined ? null : { fd: found.segment.fd, size: found.segment.size };
  }

  /** The memory of a block, in parts: one view of all of it may be longer than views can be. Only until it is freed. */
  memory({ slab, offset, size }: Block): Memory {
    const found = this.#slabs.get(slab);
    if (found === undefined) throw new Error(`slab ${slab} is not there`);
    const buffer = found.segment.buffer();
    return { size, part: (at, most) => new Uint8Array(buffer, offset + at, Math.min(most, size - at)) };
  }

  /** Bytes of each slab, by its number. */
  sizes(): ReadonlyMap<number, number> {
    return new Map([...this.#slabs].map(([slab, { segment }]) => [slab, segment.size]));
  }

  stats(): SlabStoreStats {
    let usedBytes = 0;
    let slabBytes = 0;
    for (const { arena, segment } of this.#slabs.values()) {
      usedBytes += arena.stats().usedBytes;
      slabBytes += segment.size;
    }
    return { capacityBytes: this.#capacity, usedBytes, slabBytes };
  }

  /** Gives all slabs back; what others have mapped stays theirs until they unmap it. */
  [Symbol.dispose](): void {
    for (const { segment } of this.#slabs.values()) segment.close();
    this.#slabs.clear();
  }

  #grow(wanted: number, needed: number): number {
    this.#shrink(wanted);
    const size = Math.min(pages(wanted), this.#room());
    if (size < needed) throw this.#full(needed);
    const segment = this.#native.segmentCreate({ name: this.#name, size, lock: false, register: 'none' });
    const slab = this.#next++;
    try {
      this.#slabs.set(slab, { segment, arena: this.#native.arena(segment) });
    } catch (error) {
      segment.close();
      throw error;
    }
    return slab;
  }

  /** Bytes that slabs may still take, in whole pages: a slab is rounded up to them. */
  #room(): number {
    return Math.floor((this.#capacity - this.stats().slabBytes) / PAGE) * PAGE;
  }

  /** Empty slabs go, the oldest first, until there is room for another. They are of a size that does not help, or they would be used. */
  #shrink(wanted: number): void {
    for (const [slab, { segment, arena }] of this.#slabs) {
      if (this.#room() >= wanted) return;
      if (arena.stats().usedBytes > 0) continue;
      this.#slabs.delete(slab);
      segment.close();
      this.#onGone(slab);
    }
  }

  #full(needed: number): TwinkleError {
    const { usedBytes, capacityBytes } = this.stats();
    const why =
      needed > capacityBytes
        ? `an object of ${needed} bytes is larger than the object store, which has ${capacityBytes}; start`
        : `the object store has no room for ${needed} bytes: ${usedBytes} of ${capacityBytes} are used; drop references, or start`;
    return new TwinkleError('SHM_FULL', `${why} the head with a larger --object-store-memory`, {
      details: { needed, usedBytes, capacityBytes },
    });
  }
}

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}
