/**
 * Nodes of a pool by what one projection sees of them. A shelf holds nodes that differ only in the amount of one resource, best first, so
 * one look at its first node stands for all of them. Kinds are the same for totals. Knows no strategies.
 */
import { isFractioned, labelOf } from './demand.js';
import type { LinkBook } from './link-book.js';
import type { Projection } from './projection.js';
import { WHOLE } from './resources.js';
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

/** What an index knows of a node. Used again when the node moves to another shelf: nothing is as frequent. */
interface Placed extends Entry {
  view: NodeView;
  amount: Units;
  variant: number;
  order: number;
  shelf: Shelf;
  kind: Kind;
  district: District;
}

/** A node of a pool with its place in each index. */
export interface NodeRecord {
  /** Null: it is gone. */
  view: NodeView | null;
  /** Place of its latest change in the log of the pool. */
  stamp: number;
  /** By slot of the index. */
  readonly places: (Placed | undefined)[];
}

/** Nodes with equal labels and equal free amounts, but for the sorted resource. */
export interface Shelf {
  readonly key: string;
  /** By falling amount, then by variant, then by order. */
  readonly entries: SortedList<Entry>;
  /** Free amounts by name of the projection; that of the sorted one is not valid. */
  readonly amounts: readonly Units[];
  /** A device is taken in part: sums do not tell what can be granted. */
  readonly fractioned: boolean;
}

/** Nodes with equal labels and totals. */
export interface Kind {
  readonly key: string;
  /** One of them, or one that was. */
  readonly sample: NodeView;
  count: number;
}

/** The nodes of one value of the domain label, or all. */
export interface District {
  readonly shelves: Map<string, Shelf>;
  readonly kinds: Map<string, Kind>;
  size: number;
}

/** The district of an index without a domain label. */
export const EVERYWHERE = '';

export class NodeIndex {
  readonly projection: Projection;
  /** Which of a record's places are its own. */
  readonly slot: number;
  /** Stamps below are known here. */
  seen: number;
  readonly #links: LinkBook;
  readonly #districts = new Map<string, District>();
  #values: readonly string[] | null = null;

  /** @param seen stamps below are of no interest: their records are put by the caller */
  constructor(projection: Projection, links: LinkBook, slot: number, seen: number) {
    this.projection = projection;
    this.#links = links;
    this.slot = slot;
    this.seen = seen;
  }

  /** Null: no node has this value. */
  district(value: string): District | null {
    return this.#districts.get(value) ?? null;
  }

  /** Values of the domain label in their order. */
  values(): readonly string[] {
    this.#values ??= [...this.#districts.keys()].sort();
    return this.#values;
  }

  /** The kind of a node; null: it is not in the index. */
  kindOf(record: NodeRecord): Kind | null {
    return record.places[this.slot]?.kind ?? null;
  }

  /** Take over how a node is now. */
  put(record: NodeRecord): void {
    const { domain, names, sorted, linked } = this.projection;
    const { view } = record;
    const value = view?.schedulable !== true ? null : domain === null ? EVERYWHERE : labelOf(view.spec, domain);
    let place = record.places[this.slot];
    if (place !== undefined && (view === null || value == null || place.view.spec !== view.spec)) {
      this.#unshelve(place);
      this.#leave(place);
      record.places[this.slot] = undefined;
      place = undefined;
    }
    if (view === null || value === null || value === undefined) return;
    const key = this.#shelfKey(view);
    const amount = sorted < 0 ? 0 : (view.free.amounts.get(names[sorted] as string) ?? 0);
    const variant = linked === null ? 0 : this.#links.variant(view, linked);
    if (place === undefined) {
      const district = this.#district(value);
      const kind = this.#kind(district, view);
      district.size += 1;
      kind.count += 1;
      const shelf = this.#shelf(district, key, view);
      const { order } = view;
      record.places[this.slot] = place = { view, amount, variant, order, shelf, kind, district };
    } else if (place.shelf.key === key && place.amount === amount && place.variant === variant) {
      place.view = view;
      return;
    } else {
      this.#unshelve(place);
      place.view = view;
      place.amount = amount;
      place.variant = variant;
      place.shelf = this.#shelf(place.district, key, view);
    }
    place.shelf.entries.add(place);
  }

  #unshelve(place: Placed): void {
    const { shelf, district } = place;
    shelf.entries.delete(place);
    if (shelf.entries.first === null) district.shelves.delete(shelf.key);
  }

  #leave({ kind, district }: Placed): void {
    kind.count -= 1;
    if (kind.count === 0) district.kinds.delete(kind.key);
    district.size -= 1;
    if (district.size > 0) return;
    for (const [value, other] of this.#districts) if (other === district) this.#districts.delete(value);
    this.#values = null;
  }

  #district(value: string): District {
    let district = this.#districts.get(value);
    if (district === undefined) {
      district = { shelves: new Map(), kinds: new Map(), size: 0 };
      this.#districts.set(value, district);
      this.#values = null;
    }
    return district;
  }

  #kind(district: District, view: NodeView): Kind {
    const { names, labels } = this.projection;
    let key = labelKey(view, labels);
    for (const name of names) key += `,${view.spec.total.get(name) ?? 0}`;
    let kind = district.kinds.get(key);
    if (kind === undefined) {
      kind = { key, sample: view, count: 0 };
      district.kinds.set(key, kind);
    }
    return kind;
  }

  #shelfKey(view: NodeView): string {
    const { names, sorted, units, labels } = this.projection;
    const { amounts } = view.free;
    let key = labels.length === 0 ? '' : labelKey(view, labels);
    for (let at = 0; at < names.length; at++) {
      if (at !== sorted) key += `,${amounts.get(names[at] as string) ?? 0}`;
    }
    if (isFractioned(view.free, units)) for (const name of units) key += `;${fractions(view, name)}`;
    return key;
  }

  #shelf(district: District, key: string, view: NodeView): Shelf {
    let shelf = district.shelves.get(key);
    if (shelf === undefined) {
      const { names, units } = this.projection;
      shelf = {
        key,
        entries: new SortedList(byAmount),
        amounts: names.map((name) => view.free.amounts.get(name) ?? 0),
        fractioned: isFractioned(view.free, units),
      };
      district.shelves.set(key, shelf);
    }
    return shelf;
  }
}

function byAmount(a: Entry, b: Entry): number {
  return b.amount - a.amount || a.variant - b.variant || a.order - b.order;
}

/** Parts of devices, ascending. With the sum they say all: how many are free as wholes follows. */
function fractions(view: NodeView, name: string): string {
  const parts = (view.free.instances.get(name) ?? []).filter((units) => units !== 0 && units !== WHOLE);
  return parts.sort((a, b) => a - b).join();
}

/** Values are preceded by their lengths, so that no value can pass for another. */
function labelKey(view: NodeView, labels: readonly string[]): string {
  let key = '';
  for (const label of labels) {
    const value = view.spec.labels.get(label);
    key += value === undefined ? '-' : `${value.length}:${value}`;
  }
  return key;
}
