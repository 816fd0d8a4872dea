/**
 * Shelves by what their nodes have in common. A hash table over numbers, because a text made of them for each change of each node would be
 * most of what placing leaves to the garbage collector.
 */
import { SortedList } from './sorted-list.js';
import type { NodeView, Units } from './types.js';

/** A node on its shelf. */
export interface Entry {
  readonly view: NodeView;
  /** Free amount of the sorted resource. */
  readonly amount: Units;
  /** Which devices are free, where that matters; else 0. */
  readonly variant: number;
  readonly order: number;
}

/** Nodes with equal labels and equal free amounts, but for the sorted resource. */
export interface Shelf {
  /** By falling amount, then by variant, then by order. */
  readonly entries: SortedList<Entry>;
  /** Free amounts by name of the projection; that of the sorted one is 0. */
  readonly amounts: readonly Units[];
  /** Labels and parts of devices. */
  readonly rest: string;
  /** A device is taken in part: sums do not tell what can be granted. */
  readonly fractioned: boolean;
  readonly hash: number;
  /** The next one with the same hash. */
  chain: Shelf | null;
}

export class ShelfTable {
  readonly #byHash = new Map<number, Shelf>();

  *shelves(): Generator<Shelf> {
    for (const first of this.#byHash.values()) {
      for (let shelf: Shelf | null = first; shelf !== null; shelf = shelf.chain) yield shelf;
    }
  }

  /** The shelf of these, made when there is none. `amounts` may be used again by the caller. */
  of(amounts: readonly Units[], rest: string, fractioned: boolean): Shelf {
    const hash = hashOf(amounts, rest);
    const first = this.#byHash.get(hash) ?? null;
    for (let shelf = first; shelf !== null; shelf = shelf.chain) if (isShelfOf(shelf, amounts, rest)) return shelf;
    const entries = new SortedList(byAmount);
    const shelf: Shelf = { entries, amounts: amounts.slice(), rest, fractioned, hash, chain: first };
    this.#byHash.set(hash, shelf);
    return shelf;
  }

  /** Forget a shelf that became empty. */
  delete(shelf: Shelf): void {
    const first = this.#byHash.get(shelf.hash) ?? null;
    if (first === shelf) {
      if (shelf.chain === null) this.#byHash.delete(shelf.hash);
      else this.#byHash.set(shelf.hash, shelf.chain);
      return;
    }
    for (let before = first; before !== null; before = before.chain) {
      if (before.chain === shelf) before.chain = shelf.chain;
    }
  }
}

/** Whether the shelf is that of these. */
export function isShelfOf(shelf: Shelf, amounts: readonly Units[], rest: string): boolean {
  for (let at = 0; at < amounts.length; at++) if (shelf.amounts[at] !== amounts[at]) return false;
  return shelf.rest === rest;
}

function hashOf(amounts: readonly Units[], rest: string): number {
  let hash = 17;
  for (let at = 0; at < amounts.length; at++) hash = Math.imul(hash ^ (amounts[at] as Units), 0x9e3779b1);
  for (let at = 0; at < rest.length; at++) hash = Math.imul(hash ^ rest.charCodeAt(at), 0x01000193);
  return hash ^ (hash >>> 15);
}

function byAmount(a: Entry, b: Entry): number {
  return b.amount - a.amount || a.variant - b.variant || a.order - b.order;
}
