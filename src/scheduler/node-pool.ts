/** Nodes as they are now, and indexes over them that are made when a demand first needs them. Knows no rules about what may change. */
import { type Demand, labelOf } from './demand.js';
import { LinkBook } from './link-book.js';
import { EVERYWHERE, type Kind, NodeIndex, type NodeRecord } from './node-index.js';
import { projectionOf } from './projection.js';
import type { NodeView } from './types.js';

/** An index costs a few hundred bytes per node; the one that was not used for longest goes. */
const MOST_INDEXES = 32;
/** One index after the other catches up once it is so many changes behind, so that its next use does not have to. */
const BEHIND = 32;
/** Changes that are kept before those that every index knows are dropped. */
const LONGEST_LOG = 4096;

/** One value of one label. */
export interface DomainValue {
  readonly label: string;
  readonly value: string;
}

export class NodePool {
  readonly links: LinkBook;
  readonly #records = new Map<string, NodeRecord>();
  readonly #indexes = new Map<string, NodeIndex>();
  /** Records in the order of their changes; the first has the stamp `#dropped`. */
  #log: NodeRecord[] = [];
  #dropped = 0;
  /** The indexes in any order, and whose turn it is to catch up. */
  #list: readonly NodeIndex[] = [];
  #turn = 0;

  constructor(links = new LinkBook()) {
    this.links = links;
  }

  get size(): number {
    return this.#records.size;
  }

  get(id: string): NodeView | null {
    return this.#records.get(id)?.view ?? null;
  }

  /** In the order in which they came. */
  *views(): Generator<NodeView> {
    for (const { view } of this.#records.values()) if (view !== null) yield view;
  }

  /** A node comes or changes. One that comes again must have been deleted. */
  set(view: NodeView): void {
    let record = this.#records.get(view.spec.id);
    if (record === undefined) {
      record = { view, stamp: 0, places: [] };
      this.#records.set(view.spec.id, record);
    }
    record.view = view;
    this.#changed(record);
  }

  /** A node goes. */
  delete(id: string): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    this.#records.delete(id);
    record.view = null;
    this.#changed(record);
  }

  /**
   * The index for a demand, up to date.
   * @param linked see {@link Projection.linked}
   */
  index(demand: Demand, domain: string | null, linked: string | null): NodeIndex {
    const projection = projectionOf(demand, domain, linked);
    let index = this.#indexes.get(projection.key);
    if (index === undefined) {
      index = new NodeIndex(projection, this.links, this.#freeSlot(), this.#end);
      for (const record of this.#records.values()) index.put(record);
      this.#list = [...this.#indexes.values(), index];
    }
    // The map is kept in order of use.
    this.#indexes.delete(projection.key);
    this.#indexes.set(projection.key, index);
    this.#catchUp(index);
    return index;
  }

  /** How the node stands in an index; null: it is not in it. */
  kindIn(index: NodeIndex, id: string): Kind | null {
    const record = this.#records.get(id);
    return record === undefined ? null : index.kindOf(record);
  }

  get #end(): number {
    return this.#dropped + this.#log.length;
  }

  #changed(record: NodeRecord): void {
    if (this.#indexes.size === 0) return;
    record.stamp = this.#end;
    this.#log.push(record);
    const indexes = this.#list;
    this.#turn = (this.#turn + 1) % indexes.length;
    const next = indexes[this.#turn];
    if (next !== undefined && this.#end - next.seen >= BEHIND) this.#catchUp(next);
    if (this.#log.length < LONGEST_LOG) return;
    const known = Math.min(...indexes.map(({ seen }) => seen));
    this.#log = this.#log.slice(known - this.#dropped);
    this.#dropped = known;
  }

  #catchUp(index: NodeIndex): void {
    const end = this.#end;
    for (let stamp = index.seen; stamp < end; stamp++) {
      const record = this.#log[stamp - this.#dropped] as NodeRecord;
      // A record that changed again stands further on in the log.
      if (record.stamp === stamp) index.put(record);
    }
    index.seen = end;
  }

  /** A slot that no index has; the index that was not used for longest makes room. */
  #freeSlot(): number {
    for (const [key, oldest] of this.#indexes) {
      if (this.#indexes.size < MOST_INDEXES) break;
      this.#indexes.delete(key);
      for (const record of this.#records.values()) record.places[oldest.slot] = undefined;
    }
    const used = new Set([...this.#indexes.values()].map(({ slot }) => slot));
    let slot = 0;
    while (used.has(slot)) slot += 1;
    return slot;
  }
}

/** Whether the node takes new work and lies in the domain. */
export function isCandidate(view: NodeView, domain: DomainValue | null): boolean {
  return view.schedulable && (domain === null || labelOf(view.spec, domain.label) === domain.value);
}

/** The district of a domain. */
export function districtOf(domain: DomainValue | null): string {
  return domain?.value ?? EVERYWHERE;
}
