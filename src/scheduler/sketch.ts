/** The scratch copies of an attempt: where bundles went, and what is left on the nodes that took some. Knows no order. */
import { type Demand, scoreOf } from './demand.js';
import { take } from './free.js';
import { matches } from './labels.js';
import { NodePool } from './node-pool.js';
import type { Plan } from './plan.js';
import type { Scope } from './scope.js';
import type { NodeView } from './types.js';

export class Sketch {
  /** By bundle; null: not placed. */
  readonly seats: (string | null)[];
  /** Nodes with bundles, as they would be. */
  readonly used: NodePool;
  readonly #plan: Plan;

  constructor(plan: Plan, scope: Scope) {
    this.#plan = plan;
    this.seats = plan.demands.map(() => null);
    this.used = new NodePool(scope.pool.links);
  }

  /** False when the node does not take it. */
  put(bundle: number, view: NodeView): boolean {
    const demand = this.#plan.demands[bundle] as Demand;
    const { free } = this.used.get(view.spec.id) ?? view;
    if (scoreOf(demand, free.amounts) < 0 || !matches(view.spec, demand.selector)) return false;
    const taken = take(free, demand.resources);
    if (taken === null) return false;
    this.used.set({ ...view, free: taken.free });
    this.seats[bundle] = view.spec.id;
    return true;
  }

  /** The node is known to take all. */
  putAll(view: NodeView): void {
    this.seats.fill(view.spec.id);
  }
}
