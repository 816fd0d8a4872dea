/** Why a group does not fit, node by node. Looks at every node: for people who ask, not for each attempt. */
import type { ClusterState } from './cluster-state.js';
import { type Demand, labelOf } from './demand.js';
import { attempts, type DomainAttempt } from './domain.js';
import { judge, type Verdict } from './judge.js';
import { type Plan, planOf } from './plan.js';
import type { GroupRequest, NodeReason, NodeView } from './types.js';

/**
 * For every node, in joining order, why it does not take the bundle that found no node (STRICT_PACK: all bundles), in the state without
 * this group. Where a node could take it alone, what this attempt had put there before is told.
 * @param focus a bundle to ask about instead of the one that failed; STRICT_PACK has none
 */
export function explainGroup(state: ClusterState, request: GroupRequest, focus?: number): NodeReason[] {
  const plan = planOf(request);
  const tried = new Map<string | null, DomainAttempt>();
  for (const one of attempts(plan, state.pool)) tried.set(one.value, one);
  return [...state.nodes()].map((view) => ({ node: view.spec.id, ...verdict(plan, view, tried, focus) }));
}

function verdict(
  plan: Plan,
  view: NodeView,
  tried: ReadonlyMap<string | null, DomainAttempt>,
  focus: number | undefined,
): Verdict {
  const { request } = plan;
  if (!view.schedulable) {
    return { kind: 'not-schedulable', reason: 'takes no new work: it is dead, draining or was not heard of lately' };
  }
  if (request.strategy === 'STRICT_SPREAD' && request.occupied.has(view.spec.id)) {
    return { kind: 'busy', reason: 'holds another bundle of this group, and STRICT_SPREAD wants one per node' };
  }
  const { domain } = request;
  const value = domain === null ? null : (labelOf(view.spec, domain.label) ?? null);
  if (domain !== null && (value === null || (domain.value !== null && domain.value !== value))) {
    const has = value === null ? `no ${domain.label}` : `${domain.label} = ${value}`;
    const wants = domain.value === null ? 'nodes that share a value of it' : `nodes with ${domain.value}`;
    return { kind: 'infeasible', reason: `has ${has}, and the group wants ${wants}` };
  }
  const attempt = tried.get(value)?.attempt;
  const demand = plan.sum ?? plan.demands[focus ?? attempt?.failure?.bundle ?? plan.order[0] ?? -1];
  if (demand === undefined) return { kind: 'available', reason: 'nothing is asked' };
  const alone = judge(view.spec, view.free, demand);
  if (alone.kind !== 'available' || attempt === undefined || attempt.failure === null) return alone;
  return together(plan, view, attempt, demand) ?? alone;
}

/** What stands in the way where the bundle alone would fit; null: nothing. */
function together(plan: Plan, view: NodeView, attempt: DomainAttempt['attempt'], demand: Demand): Verdict | null {
  const { id } = view.spec;
  const { strategy, bundles } = plan.request;
  const here = attempt.seats.flatMap((node, bundle) => (node === id ? [bundle] : []));
  if (here.length > 0) {
    const first = `could take it alone, but by then has taken ${name(here)} of this group`;
    if (strategy === 'STRICT_SPREAD') return { kind: 'busy', reason: `${first}, and STRICT_SPREAD wants one per node` };
    const left = judge(view.spec, attempt.used.get(id)?.free ?? view.free, demand);
    return { kind: left.kind, reason: left.kind === 'available' ? left.reason : `${first}: ${left.reason}` };
  }
  if (attempt.failure?.why === 'too-few') {
    return {
      kind: 'available',
      reason: `can take one of the ${bundles.length} bundles; STRICT_SPREAD wants as many nodes`,
    };
  }
  return null;
}

function name(bundles: readonly number[]): string {
  return `${bundles.length === 1 ? 'bundle' : 'bundles'} ${bundles.join(', ')}`;
}
