/** The nodes that one attempt may still use: candidates of its domain that have not left. Knows no demands but by their index. */
import type { Demand } from './demand.js';
import type { District, NodeIndex } from './node-index.js';
import { type DomainValue, districtOf, isCandidate, type NodePool } from './node-pool.js';
import type { Entry, Shelf } from './racks.js';
import type { NodeView } from './types.js';

/** Nodes only ever leave it; the pool must not change while it is used, but for nodes that it never looked at. */
export class Scope {
  readonly pool: NodePool;
  readonly domain: DomainValue | null;
  readonly #left = new Set<string>();
  /** How far the best of a shelf have left: they are not looked at again. */
  readonly #passed = new Map<Shelf, Entry>();

  constructor(pool: NodePool, domain: DomainValue | null, without: Iterable<string>) {
    this.pool = pool;
    this.domain = domain;
    for (const id of without) this.leave(id);
  }

  /** The node is no candidate any more. */
  leave(id: string): void {
    this.#left.add(id);
  }

  has(view: NodeView): boolean {
    return isCandidate(view, this.domain) && !this.#left.has(view.spec.id);
  }

  /** How many candidates there are. */
  count(demand: Demand): number {
    let count = this.district(demand)?.size ?? 0;
    for (const id of this.#left) {
      const view = this.pool.get(id);
      if (view !== null && isCandidate(view, this.domain)) count -= 1;
    }
    return count;
  }

  index(demand: Demand, linked: string | null = null): NodeIndex {
    return this.pool.index(demand, this.domain?.label ?? null, linked);
  }

  district(demand: Demand, linked: string | null = null): District | null {
    return this.index(demand, linked).district(districtOf(this.domain));
  }

  /** The first of a shelf that is a candidate and not one of `never`. */
  first(shelf: Shelf, never: ReadonlySet<string>): Entry | null {
    let at = this.#passed.get(shelf) ?? null;
    let entry = shelf.entries.after(at);
    while (entry !== null && this.#left.has(entry.view.spec.id)) {
      at = entry;
      entry = shelf.entries.after(at);
    }
    if (at !== null) this.#passed.set(shelf, at);
    return entry !== null && never.has(entry.view.spec.id) ? this.next(shelf, entry, never) : entry;
  }

  /** The first of a shelf behind `bound` that is a candidate and not one of `never`. */
  next(shelf: Shelf, bound: Entry, never: ReadonlySet<string>): Entry | null {
    let entry = shelf.entries.after(bound);
    while (entry !== null && (this.#left.has(entry.view.spec.id) || never.has(entry.view.spec.id))) {
      entry = shelf.entries.after(entry);
    }
    return entry;
  }

  /** Ids among `ids` that are candidates. */
  known(ids: Iterable<string>): NodeView[] {
    const views = [...ids].map((id) => this.pool.get(id));
    return views.filter((view) => view !== null).filter((view) => this.has(view));
  }

  /** Those that have left. */
  left(): ReadonlySet<string> {
    return this.#left;
  }
}
