/** The best nodes of an index, without looking at those that cannot be. Equivalent to looking at every node. */
import { canGrant, type Demand, sumsTell } from './demand.js';
import { matches } from './labels.js';
import { districtOf } from './node-pool.js';
import type { Entry, Rack, Shelf } from './racks.js';
import type { Scope } from './scope.js';
import { scoreAmounts } from './score.js';
import type { NodeView } from './types.js';

/** The highest score and who has it. */
export interface Ties {
  /** −1: nobody takes the demand. */
  readonly best: number;
  /** Of each group of equals at least the first. */
  readonly tied: readonly NodeView[];
}

/**
 * Candidates with the highest score. Nodes of a shelf and equal variant are equals.
 * @param linked see {@link Projection.linked}
 */
export function searched(scope: Scope, demand: Demand, linked: string | null): Ties {
  const index = scope.index(demand, linked);
  const search = new Search(scope, demand, index.projection.sorted);
  const racks = index.district(districtOf(scope.domain))?.racks;
  // The one that promises most goes first, because what it finds rules out most of the others.
  let most = -1;
  const order: Rack[] = [];
  racks?.each((rack) => {
    const hope = search.hope(rack);
    if (hope < 0) return;
    order.push(rack);
    if (hope <= most || !matches(rack.sample, demand.labels)) return;
    most = hope;
    [order[0], order[order.length - 1]] = [rack, order[0] as Rack];
  });
  for (const rack of order) search.visit(rack);
  return search.ties();
}

class Search {
  readonly #scope: Scope;
  readonly #demand: Demand;
  readonly #sorted: readonly [number, number];
  #best = -1;
  #firsts: { readonly shelf: Shelf; readonly entry: Entry }[] = [];

  constructor(scope: Scope, demand: Demand, sorted: readonly [number, number]) {
    this.#scope = scope;
    this.#demand = demand;
    this.#sorted = sorted;
  }

  /** No node of the rack scores higher. */
  hope({ amounts, highest }: Rack): number {
    return scoreAmounts(amounts, this.#sorted, highest.first, highest.second, this.#demand.units);
  }

  visit(rack: Rack): void {
    const hope = this.hope(rack);
    const demand = this.#demand;
    if (hope < 0 || hope < this.#best || !matches(rack.sample, demand.labels)) return;
    let granting = sumsTell(demand, rack.fractioned);
    let [first, second] = [0, 0];
    for (const shelf of rack.shelves.values()) {
      const top = shelf.entries.first?.amount ?? 0;
      first = Math.max(first, top);
      second = Math.max(second, shelf.second);
      const bound = this.#score(shelf, top);
      if (bound < 0 || bound < this.#best) continue;
      const entry = this.#scope.first(shelf, demand.never);
      if (entry === null) continue;
      const score = entry.amount === top ? bound : this.#score(shelf, entry.amount);
      if (score < 0 || score < this.#best) continue;
      // Devices are free alike on all nodes of a rack.
      granting ||= canGrant(demand, entry.view.free);
      if (!granting) return;
      if (score > this.#best) this.#firsts = [];
      this.#best = score;
      this.#firsts.push({ shelf, entry });
    }
    rack.highest.first = first;
    rack.highest.second = second;
  }

  ties(): Ties {
    const tied: NodeView[] = [];
    for (const { shelf, entry } of this.#firsts) {
      // Rounding can give the same score to different amounts, which are not in joining order.
      let next: Entry | null = entry;
      while (next !== null && this.#score(shelf, next.amount) === this.#best) {
        tied.push(next.view);
        next = this.#scope.next(shelf, { ...next, order: Number.POSITIVE_INFINITY }, this.#demand.never);
      }
    }
    return { best: this.#best, tied };
  }

  #score({ rack, second }: Shelf, amount: number): number {
    return scoreAmounts(rack.amounts, this.#sorted, amount, second, this.#demand.units);
  }
}
