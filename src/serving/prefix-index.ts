/**
 * Which replica has seen which beginnings of prompts, as far as its cache may still hold them: for each replica the blocks that were used
 * lately. Pure. Knows hashes alone (prompt-blocks.ts), and nothing of what the engine really keeps.
 */

/** Blocks of one replica at least, however many share the whole. Holds two prompts of the longest beginning in each half. */
const LEAST_PER_REPLICA = 1024;

/**
 * Two generations instead of an order: what is used goes into the young one, and when that is full it becomes the old one, whose blocks
 * are forgotten. A block is always used together with those before it, so who has a block has its whole beginning.
 */
interface Seen {
  readonly epoch: number;
  young: Set<number>;
  old: Set<number>;
}

export class PrefixIndex {
  readonly #limit: number;
  readonly #seen = new Map<string, Seen>();

  /** @param limit blocks in all, shared evenly by the replicas that have any */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Blocks that are remembered. */
  get size(): number {
    let size = 0;
    for (const { young, old } of this.#seen.values()) size += young.size + old.size;
    return size;
  }

  /** How many of the blocks, from the first on, that replica has seen in this epoch. */
  matched(replica: string, epoch: number, blocks: readonly number[]): number {
    const seen = this.#seen.get(replica);
    if (seen === undefined || seen.epoch !== epoch) return 0;
    const { young, old } = seen;
    return lengthOfBeginning(blocks, (block) => young.has(block) || old.has(block));
  }

  /** That replica computes a prompt of these blocks now. Another epoch than before: it has restarted, and its cache was empty. */
  add(replica: string, epoch: number, blocks: readonly number[]): void {
    if (blocks.length === 0) return;
    let seen = this.#seen.get(replica);
    if (seen === undefined || seen.epoch !== epoch) {
      seen = { epoch, young: new Set(), old: new Set() };
      this.#seen.set(replica, seen);
    }
    const half = Math.max(LEAST_PER_REPLICA, Math.floor(this.#limit / this.#seen.size)) / 2;
    const { young } = seen;
    let from = lengthOfBeginning(blocks, (block) => young.has(block));
    if (young.size + blocks.length - from > half) {
      seen.old = young;
      seen.young = new Set();
      from = 0;
    }
    for (let at = from; at < blocks.length; at++) seen.young.add(blocks[at] as number);
  }
}

/** How many blocks are known from the first on: a binary search, since beginnings are known as long as what follows them. */
function lengthOfBeginning(blocks: readonly number[], knows: (block: number) => boolean): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (knows(blocks[middle - 1] as number)) low = middle;
    else high = middle - 1;
  }
  return low;
}
