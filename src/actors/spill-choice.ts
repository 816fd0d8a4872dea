/** Chooses the objects that leave memory for another, and says why none can. Changes nothing. */
import { TwinkleError } from '../errors.js';
import type { Block } from '../protocol/work.js';
import type { BlockId, InUse, Spillable } from './object-types.js';
import type { SlabStore } from './slab-store.js';
import { type LaidBlock, planSpill } from './spill-plan.js';

/** What it asks the table of objects. */
interface Uses {
  spillable(): Iterable<Spillable>;
  inUse(): Iterable<InUse>;
}

/** As much leaves memory at once when something has to: a choice for each object would cost more than moving it. */
const BATCH_BYTES = 64 * 1024 * 1024;
const BATCH_SHARE = 1 / 16;
const PAGE = 4096;

/** Blocks by number. */
interface Blocks {
  /** All that are taken. */
  readonly blocks: ReadonlyMap<BlockId, Block>;
  /** Those that the table does not have yet. */
  readonly early: ReadonlySet<BlockId>;
  /** Those that other boxes read, with how many do. */
  readonly visits: ReadonlyMap<BlockId, number>;
}

export class SpillChoice {
  readonly #slabs: SlabStore;
  readonly #blocks: ReadonlyMap<BlockId, Block>;
  readonly #early: ReadonlySet<BlockId>;
  readonly #visits: ReadonlyMap<BlockId, number>;
  readonly #table: Uses;
  /** The last of the slabs. */
  refusal: TwinkleError | null = null;

  constructor(slabs: SlabStore, { blocks, early, visits }: Blocks, table: Uses) {
    this.#slabs = slabs;
    this.#blocks = blocks;
    this.#early = early;
    this.#visits = visits;
    this.#table = table;
  }

  /** Those who have to leave for so many bytes, the ones that were used longest ago, and some that may as well leave with them. Null: no use. */
  victims(bytes: number): readonly Spillable[] | null {
    const idle = [...this.#table.spillable()];
    const blocks = Array.from(idle, ({ block }) => block);
    const needed = new Set(this.#leaving(bytes, blocks));
    if (needed.size === 0) return null;
    const victims = idle.filter(({ block }) => needed.has(block));
    let moved = victims.reduce((sum, victim) => sum + victim.bytes, 0);
    const batch = Math.min(BATCH_BYTES, this.#slabs.stats().capacityBytes * BATCH_SHARE);
    for (const victim of idle) {
      if (moved + victim.bytes > batch) break;
      if (needed.has(victim.block)) continue;
      victims.push(victim);
      moved += victim.bytes;
    }
    return victims;
  }

  /** Whether there would be room without what is being written now, or read by other boxes alone, too. */
  soon(bytes: number): boolean {
    const passing = Array.from(this.#table.inUse()).flatMap(({ block, by, opens }) =>
      by === 'writer' || opens === this.#visits.get(block) ? [block] : [],
    );
    if (passing.length + this.#early.size === 0) return false;
    const idle = Array.from(this.#table.spillable(), ({ block }) => block);
    return this.#leaving(bytes, [...idle, ...passing, ...this.#early]) !== null;
  }

  full(needed: number): TwinkleError {
    const { usedBytes, capacityBytes, slabBytes } = this.#slabs.stats();
    // What was refused although the capacity allows it, the machine refused.
    if (this.refusal !== null && this.#capacity - slabBytes >= needed) return this.refusal;
    let readersBytes = 0;
    let writersBytes = 0;
    for (const number of this.#early) writersBytes += this.#blocks.get(number)?.size ?? 0;
    for (const { bytes, by } of this.#table.inUse()) {
      if (by === 'readers') readersBytes += bytes;
      else writersBytes += bytes;
    }
    const use = `of ${inMiB(capacityBytes)}, ${inMiB(readersBytes)} are open to be read and ${inMiB(writersBytes)} are being written`;
    return new TwinkleError(
      'SHM_FULL',
      `the object store has no room for ${inMiB(needed)} in one piece: ${use}, and those cannot leave memory; let go of what get() returned, or start the head with a larger --object-store-memory`,
      { details: { needed, usedBytes, capacityBytes, readersBytes, writersBytes } },
    );
  }

  /** See `planSpill`. */
  #leaving(bytes: number, leaving: readonly BlockId[]): readonly BlockId[] | null {
    const sizes = this.#slabs.sizes();
    const blocks = new Map(Array.from(sizes.keys(), (slab) => [slab, [] as LaidBlock[]]));
    for (const [number, { slab, offset, size }] of this.#blocks) blocks.get(slab)?.push({ number, offset, size });
    const slabs = Array.from(sizes, ([slab, size]) => ({ size, blocks: blocks.get(slab) ?? [] }));
    const plan = planSpill(bytes, { slabs, capacity: this.#capacity }, leaving);
    if (plan === null || plan.length > 0) return plan;
    // There should be room, but was none: the machine has no memory for another slab.
    const capacity = [...sizes.values()].reduce((sum, size) => sum + size, 0);
    return planSpill(bytes, { slabs, capacity }, leaving);
  }

  /** As slabs can use it. */
  get #capacity(): number {
    return Math.floor(this.#slabs.stats().capacityBytes / PAGE) * PAGE;
  }
}

function inMiB(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}
