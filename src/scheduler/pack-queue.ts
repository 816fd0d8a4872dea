/** The bundles that PACK has still to place. Knows no nodes. */
import type { Demand } from './demand.js';
import type { Plan } from './plan.js';

/** Bundles that wait, in order; leaving it costs the same however many wait. */
export class PackQueue {
  readonly #plan: Plan;
  /** Position → the next one that waits; index 0 stands before the first. */
  readonly #next: number[];
  readonly #waiting = new Map<Demand, number>();

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#next = Array.from({ length: plan.order.length + 1 }, (_, at) => at + 1);
    for (const demand of plan.demands) this.#waiting.set(demand, (this.#waiting.get(demand) ?? 0) + 1);
  }

  /** The first bundle that waits; null: none does. */
  head(): number | null {
    return this.#plan.order[(this.#next[0] as number) - 1] ?? null;
  }

  /** Offer each in turn; those that are taken leave. Equal ones are not offered again after a refusal. */
  offer(taken: (bundle: number) => boolean): void {
    const { order, demands } = this.#plan;
    const refused = new Set<Demand>();
    let before = 0;
    for (let at = this.#next[0] as number; at <= order.length; at = this.#next[at] as number) {
      if (refused.size === this.#waiting.size) break;
      const bundle = order[at - 1] as number;
      const demand = demands[bundle] as Demand;
      if (!refused.has(demand) && taken(bundle)) {
        this.#next[before] = this.#next[at] as number;
        const left = (this.#waiting.get(demand) as number) - 1;
        if (left === 0) this.#waiting.delete(demand);
        else this.#waiting.set(demand, left);
      } else {
        refused.add(demand);
        before = at;
      }
    }
  }
}
