/**
 * Where the bundles of a group go, by Ray's rules: order → feasible → score → choose, on scratch copies. Reads the state and never changes
 * it. Among choices that Ray leaves to chance the node that joined first wins, or the one whose devices are linked better.
 */
import type { ClusterState } from './cluster-state.js';
import { attempts } from './domain.js';
import { grantsOn } from './grants.js';
import type { NodePool } from './node-pool.js';
import { type Plan, planOf } from './plan.js';
import { refusal } from './refusal.js';
import type { Attempt } from './strategies.js';
import type { Grant, GroupPlacement, GroupRequest, NodeView, PlacedBundle } from './types.js';

/**
 * Place all bundles or none. `infeasible`: not before nodes join or change; `pending`: when something is given back.
 * @param request checked by `compileGroup`: bundles without zeros, as many selectors as bundles
 */
export function placeGroup(state: ClusterState, request: GroupRequest): GroupPlacement {
  const { pool } = state;
  const plan = planOf(request);
  if (plan.demands.length === 0) return { outcome: 'placed', bundles: [] };
  let first: GroupPlacement | null = null;
  for (const { value, attempt } of attempts(plan, pool)) {
    if (attempt.failure === null) return { outcome: 'placed', bundles: grantAll(plan, attempt, pool) };
    if (first?.outcome !== 'pending' && (first === null || attempt.failure.why === 'busy')) {
      first = refusal(plan, attempt, value);
    }
  }
  return first ?? noDomain(request);
}

function noDomain({ domain }: GroupRequest): GroupPlacement {
  const reason = `all bundles want nodes with one value of the label ${domain?.label}, and no node that takes work has it`;
  return { outcome: 'infeasible', bundle: null, reason };
}

function grantAll(plan: Plan, { seats }: Attempt, pool: NodePool): PlacedBundle[] {
  const byNode = new Map<string, number[]>();
  for (const [bundle, node] of seats.entries()) {
    const bundles = byNode.get(node as string);
    if (bundles === undefined) byNode.set(node as string, [bundle]);
    else bundles.push(bundle);
  }
  const placed = new Array<PlacedBundle>(seats.length);
  for (const [node, bundles] of byNode) {
    const grants = grantsOn(pool.get(node) as NodeView, bundles, plan, pool.links);
    if (grants === null) throw new Error(`the walk gave ${node} what its devices cannot grant`);
    for (const [index, grant] of grants as ReadonlyMap<number, Grant>) placed[index] = { index, node, grant };
  }
  return placed;
}
