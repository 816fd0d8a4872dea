/**
 * Nodes of a pool by what one projection sees of them: on racks by what is free, in kinds by what they have in all. Knows no demands and no
 * strategies.
 */
import { isFractioned, labelOf } from './demand.js';
import type { LinkBook } from './link-book.js';
import type { Projection } from './projection.js';
import { type Entry, isRackOf, Racks, type Shelf } from './racks.js';
import { WHOLE } from './resources.js';
import type { NodeView, Units } from './types.js';

/** What an index knows of a node. Used again when the node moves to another shelf: nothing is as frequent. */
interface Placed extends Entry {
  view: NodeView;
  amount: Units;
  variant: number;
  readonly order: number;
  shelf: Shelf;
  /** Labels of the projection. */
  readonly labels: string;
  readonly kind: Kind;
  readonly district: District;
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

/** Nodes with equal labels and totals. */
export interface Kind {
  readonly key: string;
  /** One of them, or one that was. */
  readonly sample: NodeView;
  count: number;
}

/** The nodes of one value of the domain label, or all. */
export interface District {
  readonly racks: Racks;
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
  /** Used again at each change. */
  readonly #path: Units[] = [];

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
    const { domain, names, sorted, units, labels, linked } = this.projection;
    const { view } = record;
    const value = view?.schedulable !== true ? null : domain === null ? EVERYWHERE : labelOf(view.spec, domain);
    let place = record.places[this.slot];
    if (place !== undefined && (view === null || value == null || place.view.spec !== view.spec)) {
      this.#leave(place);
      record.places[this.slot] = undefined;
      place = undefined;
    }
    if (view === null || value === null || value === undefined) return;
    const { amounts } = view.free;
    const [first, second] = sorted;
    const path = this.#path;
    for (let at = 0; at < names.length; at++) {
      path[at] = at === first || at === second ? 0 : (amounts.get(names[at] as string) ?? 0);
    }
    const fractioned = isFractioned(view.free, units);
    const labelled = place?.labels ?? labelKey(view, labels);
    const rest = fractioned ? labelled + fractionKey(view, units) : labelled;
    const amount = first < 0 ? 0 : (amounts.get(names[first] as string) ?? 0);
    const other = second < 0 ? 0 : (amounts.get(names[second] as string) ?? 0);
    const variant = linked === null ? 0 : this.#links.variant(view, linked);
    if (place === undefined) {
      const district = this.#district(value);
      const kind = this.#kind(district, view, labelled);
      district.size += 1;
      kind.count += 1;
      const shelf = district.racks.shelf(district.racks.rack(path, rest, fractioned, view.spec), amount, other);
      place = { view, amount, variant, order: view.order, shelf, labels: labelled, kind, district };
      record.places[this.slot] = place;
      shelf.entries.add(place);
      return;
    }
    const { shelf, district } = place;
    const stays = isRackOf(shelf.rack, path, rest);
    if (stays && shelf.second === other && place.amount === amount && place.variant === variant) {
      place.view = view;
      return;
    }
    district.racks.delete(shelf, place);
    place.view = view;
    place.amount = amount;
    place.variant = variant;
    place.shelf = district.racks.shelf(district.racks.rack(path, rest, fractioned, view.spec), amount, other);
    place.shelf.entries.add(place);
  }

  #leave(place: Placed): void {
    const { shelf, kind, district } = place;
    district.racks.delete(shelf, place);
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
      district = { racks: new Racks(), kinds: new Map(), size: 0 };
      this.#districts.set(value, district);
      this.#values = null;
    }
    return district;
  }

  #kind(district: District, view: NodeView, labels: string): Kind {
    let key = labels;
    for (const name of this.projection.names) key += `,${view.spec.total.get(name) ?? 0}`;
    let kind = district.kinds.get(key);
    if (kind === undefined) {
      kind = { key, sample: view, count: 0 };
      district.kinds.set(key, kind);
    }
    return kind;
  }
}

/** Parts of devices, ascending. With the sums they say all: how many are free as wholes follows. */
function fractionKey(view: NodeView, names: readonly string[]): string {
  let key = '';
  for (const name of names) {
    const parts = (view.free.instances.get(name) ?? []).filter((units) => units !== 0 && units !== WHOLE);
    key += `;${parts.sort((a, b) => a - b).join()}`;
  }
  return key;
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
