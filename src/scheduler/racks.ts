/**
 * Nodes by what they have in common: a rack holds those that differ in the amounts of two resources at most, a shelf those that differ in
 * one. So one look at the best amounts of a rack, or at the first node of a shelf, stands for all of them. A hash table over numbers, because
 * a text made of them at each change of each node would be most of what placing leaves to the garbage collector.
 */
import { SortedList } from './sorted-list.js';
import type { NodeSpec, NodeView, Units } from './types.js';

/** A node on its shelf. */
export interface Entry {
  readonly view: NodeView;
  /** Free amount of the first sorted resource. */
  readonly amount: Units;
  /** Which devices are free, where that matters; else 0. */
  readonly variant: number;
  readonly order: number;
}

export interface Shelf {
  readonly rack: Rack;
  /** Free amount of the second sorted resource. */
  readonly second: Units;
  /** By falling amount, then by variant, then by order. */
  readonly entries: SortedList<Entry>;
}

/** Nodes with equal labels and equal free amounts, but for the sorted resources. Equal in labels to `sample`. */
export interface Rack {
  readonly sample: NodeSpec;
  /** Free amounts by name of the projection; 0 for the sorted ones. */
  readonly amounts: readonly Units[];
  /** Labels and parts of devices. */
  readonly rest: string;
  /** A device is taken in part: sums do not tell what can be granted. */
  readonly fractioned: boolean;
  /** By second amount. */
  readonly shelves: Map<Units, Shelf>;
  /** No node of it has more. May be too high. */
  readonly highest: { first: Units; second: Units };
  readonly hash: number;
  /** The next one with the same hash. */
  chain: Rack | null;
}

export class Racks {
  readonly #byHash = new Map<number, Rack>();

  /** Calls back with each rack. */
  each(visit: (rack: Rack) => void): void {
    this.#byHash.forEach((first) => {
      for (let rack: Rack | null = first; rack !== null; rack = rack.chain) visit(rack);
    });
  }

  /** The rack of these, made when there is none. `amounts` may be used again by the caller. */
  rack(amounts: readonly Units[], rest: string, fractioned: boolean, sample: NodeSpec): Rack {
    const hash = hashOf(amounts, rest);
    const chain = this.#byHash.get(hash) ?? null;
    for (let rack = chain; rack !== null; rack = rack.chain) if (isRackOf(rack, amounts, rest)) return rack;
    const own = { sample, amounts: amounts.slice(), rest, fractioned, hash, chain };
    const rack: Rack = { ...own, shelves: new Map(), highest: { first: 0, second: 0 } };
    this.#byHash.set(hash, rack);
    return rack;
  }

  /** The shelf of a rack for a node with these amounts, made when there is none. The caller puts the node there. */
  shelf(rack: Rack, first: Units, second: Units): Shelf {
    let shelf = rack.shelves.get(second);
    if (shelf === undefined) {
      shelf = { rack, second, entries: new SortedList(byAmount) };
      rack.shelves.set(second, shelf);
    }
    rack.highest.first = Math.max(rack.highest.first, first);
    rack.highest.second = Math.max(rack.highest.second, second);
    return shelf;
  }

  /** Takes a node from its shelf. What is empty then is forgotten. */
  delete(shelf: Shelf, entry: Entry): void {
    const { rack } = shelf;
    shelf.entries.delete(entry);
    if (shelf.entries.first !== null) return;
    rack.shelves.delete(shelf.second);
    if (rack.shelves.size === 0) this.#forget(rack);
  }

  #forget(rack: Rack): void {
    const first = this.#byHash.get(rack.hash) ?? null;
    if (first === rack) {
      if (rack.chain === null) this.#byHash.delete(rack.hash);
      else this.#byHash.set(rack.hash, rack.chain);
      return;
    }
    for (let before = first; before !== null; before = before.chain) {
      if (before.chain === rack) before.chain = rack.chain;
    }
  }
}

/** Whether the rack is that of these. */
export function isRackOf(rack: Rack, amounts: readonly Units[], rest: string): boolean {
  for (let at = 0; at < amounts.length; at++) if (rack.amounts[at] !== amounts[at]) return false;
  return rack.rest === rest;
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
