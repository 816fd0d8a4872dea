/** Which free devices of a node belong together: the best linked set of a size. Pure; knows no bundles and no strategies. */
import type { LinkKind, NodeDevices } from './types.js';

/** A switched fabric between devices is best, whoever made it; the rest as `nvidia-smi topo` grades it. */
const RANK: Readonly<Record<LinkKind, number>> = {
  nvlink: 0,
  hccs: 0,
  pix: 1,
  pxb: 2,
  phb: 3,
  node: 4,
  sys: 5,
  unknown: 6,
};

/** Larger searches go greedily. */
const EXACT_SET = 8;
const EXACT_FREE = 16;

/** How well devices are linked. Compare with {@link compareLinks}. */
export interface Linkage {
  /** Devices that are together. */
  readonly devices: number;
  /** Rank of the worst pair: a collective is as fast as that. */
  readonly worst: number;
  /** Ranks of all pairs, summed up. */
  readonly ranks: number;
  /** Lanes of all pairs, summed up. */
  readonly lanes: number;
  /** NUMA nodes that they are on. */
  readonly numa: number;
}

/** Nothing chosen yet. */
export const UNLINKED: Linkage = { devices: 0, worst: 0, ranks: 0, lanes: 0, numa: 0 };

/** Below zero when `a` is linked better. */
export function compareLinks(a: Linkage, b: Linkage): number {
  return b.devices - a.devices || a.worst - b.worst || a.ranks - b.ranks || b.lanes - a.lanes || a.numa - b.numa;
}

/** Two sets side by side. */
export function addLinks(a: Linkage, b: Linkage): Linkage {
  return {
    devices: a.devices + b.devices,
    worst: Math.max(a.worst, b.worst),
    ranks: a.ranks + b.ranks,
    lanes: a.lanes + b.lanes,
    numa: a.numa + b.numa,
  };
}

/** Devices that were chosen together, ascending. */
export interface LinkedSet {
  readonly instances: readonly number[];
  readonly linkage: Linkage;
}

/**
 * The best linked set; among equals the one with the lowest instances. All sets are looked at when it is small (8 of 16), else it grows
 * from every device by the best neighbour.
 * @param devices null: nothing is known of them, so the lowest are as good as any
 * @param free instances to choose from, ascending
 * @param count at most as many as are free
 */
export function bestLinked(devices: NodeDevices | null, free: readonly number[], count: number): LinkedSet {
  const pairs = new Pairs(devices);
  if (count === free.length) return pairs.set(free);
  if (devices === null || (devices.links.length === 0 && new Set(free.map((at) => devices.numa[at])).size <= 1)) {
    return pairs.set(free.slice(0, count));
  }
  return count <= EXACT_SET && free.length <= EXACT_FREE ? searched(pairs, free, count) : grown(pairs, free, count);
}

function searched(pairs: Pairs, free: readonly number[], count: number): LinkedSet {
  let best: LinkedSet | null = null;
  const limits = pairs.limits(free);
  const allPairs = (count * (count - 1)) / 2;
  const visit = (set: LinkedSet, from: number): void => {
    const { devices, worst, ranks, lanes, numa } = set.linkage;
    if (best !== null) {
      // What can still come of this set; lower instances came first, so that equal is not enough.
      const open = allPairs - (devices * (devices - 1)) / 2;
      const hope = {
        devices: count,
        worst,
        ranks: ranks + open * limits.rank,
        lanes: lanes + open * limits.lanes,
        numa,
      };
      if (compareLinks(hope, best.linkage) >= 0) return;
    }
    if (devices === count) {
      best = set;
      return;
    }
    for (let at = from; at <= free.length - (count - devices); at++) {
      visit(pairs.grow(set, free[at] as number), at + 1);
    }
  };
  visit(pairs.set([]), 0);
  return best ?? pairs.set([]);
}

function grown(pairs: Pairs, free: readonly number[], count: number): LinkedSet {
  let best: LinkedSet | null = null;
  for (const seed of free) {
    let set = pairs.set([seed]);
    while (set.instances.length < count) {
      let next: LinkedSet | null = null;
      for (const instance of free) {
        if (set.instances.includes(instance)) continue;
        const larger = pairs.grow(set, instance);
        if (next === null || compareLinks(larger.linkage, next.linkage) < 0) next = larger;
      }
      if (next === null) break;
      set = next;
    }
    if (best === null || compareLinks(set.linkage, best.linkage) < 0) best = set;
  }
  return pairs.set([...(best?.instances ?? [])].sort((a, b) => a - b));
}

/** The links as a table. */
class Pairs {
  readonly #devices: NodeDevices | null;
  readonly #links = new Map<number, { readonly rank: number; readonly lanes: number }>();

  constructor(devices: NodeDevices | null) {
    this.#devices = devices;
    for (const { a, b, kind, lanes } of devices?.links ?? []) {
      this.#links.set(pairKey(a, b), { rank: RANK[kind], lanes });
    }
  }

  rank(a: number, b: number): number {
    return this.#links.get(pairKey(a, b))?.rank ?? RANK.unknown;
  }

  /** The best that a pair of these can be, in either respect. */
  limits(instances: readonly number[]): { readonly rank: number; readonly lanes: number } {
    let rank = RANK.unknown;
    let lanes = 0;
    for (const a of instances) {
      for (const b of instances) {
        if (a >= b) continue;
        rank = Math.min(rank, this.rank(a, b));
        lanes = Math.max(lanes, this.#links.get(pairKey(a, b))?.lanes ?? 0);
      }
    }
    return { rank, lanes };
  }

  set(instances: readonly number[]): LinkedSet {
    let set: LinkedSet = { instances: [], linkage: UNLINKED };
    for (const instance of instances) set = this.grow(set, instance);
    return set;
  }

  grow({ instances, linkage }: LinkedSet, instance: number): LinkedSet {
    let { worst, ranks, lanes } = linkage;
    for (const other of instances) {
      const rank = this.rank(other, instance);
      worst = Math.max(worst, rank);
      ranks += rank;
      lanes += this.#links.get(pairKey(other, instance))?.lanes ?? 0;
    }
    const numa = (at: number): number | null => this.#devices?.numa[at] ?? null;
    const known = instances.some((other) => numa(other) === numa(instance));
    return {
      instances: [...instances, instance],
      linkage: { devices: linkage.devices + 1, worst, ranks, lanes, numa: linkage.numa + (known ? 0 : 1) },
    };
  }
}

function pairKey(a: number, b: number): number {
  return Math.min(a, b) * 65_536 + Math.max(a, b);
}
