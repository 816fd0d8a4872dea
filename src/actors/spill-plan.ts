/** Which objects have to leave memory so that another fits: those that were used longest ago, and of them only what makes a hole. Pure. */

/** A block of memory, as its slab has it. */
export interface LaidBlock {
  readonly number: number;
  readonly offset: number;
  /** Bytes that it asked for. */
  readonly size: number;
}

/** A slab with all blocks in it, in any order. */
export interface LaidSlab {
  /** Bytes. */
  readonly size: number;
  readonly blocks: readonly LaidBlock[];
}

export interface Layout {
  readonly slabs: readonly LaidSlab[];
  /** Bytes that all slabs may take together, in whole pages; those that are there, when no other can be made. */
  readonly capacity: number;
}

const ALIGN = 64;

/**
 * Blocks to free for `bytes` in one piece: in a slab, or by emptying slabs so that a new one has room.
 * @param leaving blocks that may go, in the order in which they should
 * @returns null when there is no room even without all of them; empty when there is room now
 */
export function planSpill(bytes: number, layout: Layout, leaving: Iterable<number>): readonly number[] | null {
  const slabs = layout.slabs.map((slab) => new Clearing(slab));
  const slabOf = new Map(slabs.flatMap((slab) => slab.numbers.map((number) => [number, slab] as const)));
  const empty = slabs.filter(({ isEmpty }) => isEmpty);
  let room = layout.capacity - slabs.reduce((sum, { size, isEmpty }) => sum + (isEmpty ? 0 : size), 0);
  if (room >= bytes || slabs.some((slab) => slab.largest >= bytes)) return [];
  for (const number of leaving) {
    const slab = slabOf.get(number);
    if (slab === undefined) continue;
    const hole = slab.clear(number);
    if (hole.to - hole.from >= bytes) return slab.leastWithin(hole, bytes);
    if (!slab.isEmpty) continue;
    empty.push(slab);
    room += slab.size;
    if (room >= bytes) return empty.flatMap((one) => one.cleared);
  }
  return null;
}

interface Hole {
  readonly from: number;
  readonly to: number;
}

/** A slab whose blocks go one by one, on paper. */
class Clearing {
  readonly size: number;
  readonly #blocks = new Map<number, LaidBlock>();
  readonly #cleared = new Set<number>();
  /** Where a hole ends, by where it begins. */
  readonly #ends = new Map<number, number>();
  /** Where it begins, by where it ends. */
  readonly #begins = new Map<number, number>();
  /** Of the largest hole. */
  largest = 0;

  constructor({ size, blocks }: LaidSlab) {
    this.size = size;
    let at = 0;
    for (const block of [...blocks].sort((a, b) => a.offset - b.offset)) {
      this.#blocks.set(block.number, block);
      this.#add(at, block.offset);
      at = endOf(block);
    }
    this.#add(at, Math.floor(size / ALIGN) * ALIGN);
  }

  get numbers(): readonly number[] {
    return [...this.#blocks.keys()];
  }

  /** In the order in which they were cleared. */
  get cleared(): readonly number[] {
    return [...this.#cleared];
  }

  get isEmpty(): boolean {
    return this.#cleared.size === this.#blocks.size;
  }

  /** The hole that is there now. */
  clear(number: number): Hole {
    const block = this.#blocks.get(number) as LaidBlock;
    this.#cleared.add(number);
    return this.#add(block.offset, endOf(block));
  }

  /** Of the blocks that were cleared for a hole, the piece of it with the fewest bytes to move. */
  leastWithin({ from, to }: Hole, bytes: number): readonly number[] {
    const inside = [...this.#cleared].flatMap((number) => {
      const block = this.#blocks.get(number) as LaidBlock;
      return block.offset >= from && block.offset < to ? [block] : [];
    });
    inside.sort((a, b) => a.offset - b.offset);
    let best: readonly LaidBlock[] = inside;
    for (const begin of [from, ...inside.map(endOf)]) {
      if (begin + bytes > to) break;
      const piece = inside.filter((block) => endOf(block) > begin && block.offset < begin + bytes);
      if (weight(piece) < weight(best)) best = piece;
    }
    return best.map(({ number }) => number);
  }

  #add(offset: number, end: number): Hole {
    if (end <= offset) return { from: offset, to: offset };
    const from = this.#begins.get(offset) ?? offset;
    const to = this.#ends.get(end) ?? end;
    this.#begins.delete(offset);
    this.#ends.delete(end);
    this.#ends.set(from, to);
    this.#begins.set(to, from);
    this.largest = Math.max(this.largest, to - from);
    return { from, to };
  }
}

function endOf({ offset, size }: LaidBlock): number {
  return offset + Math.ceil(size / ALIGN) * ALIGN;
}

function weight(blocks: readonly LaidBlock[]): number {
  return blocks.reduce((sum, { size }) => sum + size, 0);
}
