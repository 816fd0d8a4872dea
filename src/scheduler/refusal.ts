/** Why a group was refused, in one sentence. Looks at one node for all that are alike, so that a refusal is as quick as a placement. */
import type { Demand } from './demand.js';
import { judge } from './judge.js';
import { describeSelector, matches } from './labels.js';
import type { Plan } from './plan.js';
import { covers, describeResources } from './resources.js';
import type { Attempt, Failure } from './strategies.js';
import type { GroupPlacement, NodeView, Resources } from './types.js';

/**
 * The answer for an attempt that failed.
 * @param domain value of the domain label that it was confined to; null: none
 */
export function refusal(plan: Plan, attempt: Attempt, domain: string | null): GroupPlacement {
  const failure = attempt.failure as Failure;
  const where = domain === null ? '' : `where ${plan.request.domain?.label} = ${domain}: `;
  return {
    outcome: failure.why === 'busy' ? 'pending' : 'infeasible',
    bundle: failure.bundle,
    reason: `${where}${sentence(plan, attempt, failure)}`,
  };
}

function sentence(plan: Plan, attempt: Attempt, failure: Failure): string {
  const { bundles, occupied } = plan.request;
  const { demand } = failure;
  if (failure.why === 'no-nodes' || demand === null) {
    if (failure.why !== 'too-few') return `no node takes new work${occupied.size > 0 ? ' of this group' : ''}`;
    const count = attempt.scope.count(plan.demands[0] as Demand);
    const rest = occupied.size > 0 ? ' without bundles of this group' : '';
    return `STRICT_SPREAD wants a node for each of ${bundles.length} bundles, and there ${count === 1 ? 'is' : 'are'} only ${count}${rest}`;
  }
  const one = plan.sum === null || bundles.length === 1;
  const what = one ? `bundle ${failure.bundle ?? 0} needs` : `the ${bundles.length} bundles together need`;
  const wants = demand.selector.length === 0 ? '' : ` where ${describeSelector(demand.selector)}`;
  const needs = `${what} ${describeResources(demand.resources)}${wants}`;
  const closest = failure.why === 'busy' ? closestFree(attempt, demand, plan) : closestEmpty(attempt, demand);
  if (closest === null) {
    if (failure.why !== 'busy') return `${needs}, and no node that it may use has that, even when empty`;
    return `${needs}, and every node that could take it holds other bundles of the group`;
  }
  const now = failure.why === 'busy' ? 'that no node has free now' : 'that no node has even when empty';
  const { reason } = judge(closest.spec, closest.free, demand);
  const after = attempt.used.get(closest.spec.id) === closest ? ' with the other bundles of this group' : '';
  return `${needs}, ${now}; closest is ${closest.spec.id}${after}: ${reason}`;
}

/** The node that has most of the demand free, with what this attempt left there. */
function closestFree({ scope, used }: Attempt, demand: Demand, plan: Plan): NodeView | null {
  const views: NodeView[] = demand.only === null ? [] : scope.known(demand.only);
  if (demand.only === null) {
    scope.district(demand)?.racks.each(({ sample, shelves }) => {
      if (!matches(sample, demand.labels)) return;
      for (const shelf of shelves.values()) {
        const entry = scope.first(shelf, demand.never);
        if (entry !== null) views.push(entry.view);
      }
    });
  }
  const again = plan.request.strategy === 'STRICT_SPREAD' ? [] : used.views();
  const large = [...views, ...again].filter(({ spec }) => covers(spec.total, demand.resources));
  return fullest(large, demand, ({ free }) => free.amounts);
}

function closestEmpty({ scope }: Attempt, demand: Demand): NodeView | null {
  const kinds = [...(scope.district(demand)?.kinds.values() ?? [])].map(({ sample }) => sample);
  const views = demand.only === null ? kinds : scope.known(demand.only);
  // A node that is out of bounds may well be large enough: it explains nothing.
  const small = views.filter(({ spec }) => !covers(spec.total, demand.resources));
  return fullest(small, demand, ({ spec }) => spec.total);
}

function fullest(views: readonly NodeView[], demand: Demand, amounts: (view: NodeView) => Resources): NodeView | null {
  let best: NodeView | null = null;
  let most = -1;
  for (const view of views) {
    if (!matches(view.spec, demand.labels)) continue;
    const have = amounts(view);
    let sum = 0;
    for (const [name, units] of demand.resources) sum += Math.min(1, (have.get(name) ?? 0) / units);
    if (sum <= most) continue;
    best = view;
    most = sum;
  }
  return best;
}
