/** Nodes as they are now, and indexes over them that are made when a demand first needs them. Knows no rules about what may change. */
import { type Demand, labelOf } from './demand.js';
import { LinkBook } from './link-book.js';
import { EVERYWHERE, NodeIndex } from './node-index.js';
import { projectionOf } from './projection.js';
import type { NodeView } from './types.js';

/** An index costs a few hundred bytes per node; the one that was not used for longest goes. */
const MOST_INDEXES = 32;
/** An index that is not used for long catches up by so many nodes at a time, so that its next use does not have to. */
const MOST_STALE = 64;

/** One value of one label. */
export interface DomainValue {
  readonly label: string;
  readonly value: string;
}

export class NodePool {
  readonly links: LinkBook;
  readonly #views = new Map<string, NodeView>();
  readonly #indexes = new Map<string, NodeIndex>();

  constructor(links = new LinkBook()) {
    this.links = links;
  }

  get size(): number {
    return this.#views.size;
  }

  get(id: string): NodeView | null {
    return this.#views.get(id) ?? null;
  }

  views(): Iterable<NodeView> {
    return this.#views.values();
  }

  set(view: NodeView): void {
    const { id } = view.spec;
    this.#views.set(id, view);
    this.#touch(id);
  }

  delete(id: string): void {
    this.#views.delete(id);
    this.#touch(id);
  }

  /**
   * The index for a demand, up to date.
   * @param linked see {@link Projection.linked}
   */
  index(demand: Demand, domain: string | null, linked: string | null): NodeIndex {
    const projection = projectionOf(demand, domain, linked);
    let index = this.#indexes.get(projection.key);
    if (index === undefined) {
      index = new NodeIndex(projection, this.links);
      for (const id of this.#views.keys()) index.touch(id);
    }
    // The map is kept in order of use.
    this.#indexes.delete(projection.key);
    this.#indexes.set(projection.key, index);
    for (const oldest of this.#indexes.keys()) {
      if (this.#indexes.size <= MOST_INDEXES) break;
      this.#indexes.delete(oldest);
    }
    index.refresh(this.#view);
    return index;
  }

  #touch(id: string): void {
    for (const index of this.#indexes.values()) {
      index.touch(id);
      if (index.stale >= MOST_STALE) index.refresh(this.#view);
    }
  }

  readonly #view = (id: string): NodeView | null => this.get(id);
}

/** Whether the node takes new work and lies in the domain. */
export function isCandidate(view: NodeView, domain: DomainValue | null): boolean {
  return view.schedulable && (domain === null || labelOf(view.spec, domain.label) === domain.value);
}

/** The district of a domain. */
export function districtOf(domain: DomainValue | null): string {
  return domain?.value ?? EVERYWHERE;
}
