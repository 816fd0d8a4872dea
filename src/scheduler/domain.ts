/** Attempts per domain: Ray's topology strategy. All bundles go to nodes that share one value of a label. Knows no strategies. */

import type { Demand } from './demand.js';
import type { NodePool } from './node-pool.js';
import type { Plan } from './plan.js';
import { Scope } from './scope.js';
import { type Attempt, attempt } from './strategies.js';

/** An attempt in one domain; `value` is null when the request names no domain label. */
export interface DomainAttempt {
  readonly value: string | null;
  readonly attempt: Attempt;
}

/** One attempt per value of the label in the order of the values, made as they are asked for; a single one without a domain. */
export function* attempts(plan: Plan, pool: NodePool): Generator<DomainAttempt> {
  const { domain, occupied, strategy } = plan.request;
  const without = strategy === 'STRICT_SPREAD' ? occupied : [];
  if (domain === null) {
    yield { value: null, attempt: attempt(plan, new Scope(pool, null, without)) };
    return;
  }
  const { label } = domain;
  const values = domain.value === null ? valuesOf(plan, pool, label) : [domain.value];
  for (const value of values) {
    yield { value, attempt: attempt(plan, new Scope(pool, { label, value }, without)) };
  }
}

/** The values that candidates have. A copy: attempts bring other indexes up to date. */
function valuesOf(plan: Plan, pool: NodePool, label: string): readonly string[] {
  const demand: Demand | undefined = plan.sum ?? plan.demands[0];
  return demand === undefined ? [] : [...pool.index(demand, label, null).values()];
}
