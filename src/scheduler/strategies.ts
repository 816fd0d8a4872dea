/** One attempt of each strategy, as Ray walks: greedy, on scratch copies, never going back. Knows no domains and no final devices. */
import type { Demand } from './demand.js';
import type { NodePool } from './node-pool.js';
import { PackQueue } from './pack-queue.js';
import { isFeasible, pickNode, rate } from './pick-node.js';
import { blockOf, blockStart, type Plan, wishOf } from './plan.js';
import { Scope } from './scope.js';
import { Sketch } from './sketch.js';

/** Why an attempt ended without all bundles placed. */
export interface Failure {
  /** `too-few`: STRICT_SPREAD with fewer nodes than bundles. `impossible`: on no node even when empty. `busy`: not now. */
  readonly why: 'no-nodes' | 'too-few' | 'impossible' | 'busy';
  /** The bundle that found no node; null: no single one. */
  readonly bundle: number | null;
  /** What found no node; null: no single one. */
  readonly demand: Demand | null;
}

/** Where bundles went and what is left there. */
export interface Attempt {
  /** By bundle; null: not placed. */
  readonly seats: readonly (string | null)[];
  /** Nodes with bundles of this attempt, as they would be. */
  readonly used: NodePool;
  /** Null: everything is placed. */
  readonly failure: Failure | null;
  readonly scope: Scope;
}

/** Tries to place all bundles on the nodes of `scope`, which is used up by it. */
export function attempt(plan: Plan, scope: Scope): Attempt {
  const sketch = new Sketch(plan, scope);
  const failure = refused(plan, scope) ?? STRATEGIES[plan.request.strategy](plan, scope, sketch);
  return { seats: sketch.seats, used: sketch.used, failure, scope };
}

/** What can be told without looking at what is free. */
function refused(plan: Plan, scope: Scope): Failure | null {
  const { demands, sum, order, request } = plan;
  const first = sum ?? demands[order[0] ?? -1];
  if (first === undefined) return null;
  const candidates = scope.count(first);
  if (candidates === 0) return { why: 'no-nodes', bundle: null, demand: null };
  if (request.strategy === 'STRICT_SPREAD' && demands.length > candidates) {
    return { why: 'too-few', bundle: null, demand: null };
  }
  if (sum !== null) {
    return isFeasible(scope, sum) ? null : { why: 'impossible', bundle: null, demand: sum };
  }
  const possible = new Set<Demand>();
  for (const [bundle, demand] of demands.entries()) {
    if (possible.has(demand)) continue;
    if (!isFeasible(scope, demand)) return { why: 'impossible', bundle, demand };
    possible.add(demand);
  }
  return null;
}

type Walk = (plan: Plan, scope: Scope, sketch: Sketch) => Failure | null;

const STRATEGIES: Readonly<Record<Plan['request']['strategy'], Walk>> = {
  PACK: pack,
  SPREAD: spread,
  STRICT_PACK: strictPack,
  STRICT_SPREAD: strictSpread,
};

function pack(plan: Plan, scope: Scope, sketch: Sketch): Failure | null {
  const queue = new PackQueue(plan);
  for (let head = queue.head(); head !== null; head = queue.head()) {
    const rest = blockOf(plan, blockStart(plan, head)).filter((bundle) => sketch.seats[bundle] === null);
    const view = pickNode(scope, plan.demands[head] as Demand, wishOf(plan, [rest]));
    if (view === null) return busy(plan, head);
    queue.offer((bundle) => sketch.put(bundle, view));
    scope.leave(view.spec.id);
  }
  return null;
}

function spread(plan: Plan, scope: Scope, sketch: Sketch): Failure | null {
  const used = new Scope(sketch.used, scope.domain, []);
  // Fresh nodes only grow fewer: what found none once finds none again.
  const without = new Set<Demand>();
  for (const bundle of plan.order) {
    const demand = plan.demands[bundle] as Demand;
    const wish = wishOf(plan, [[bundle]]);
    const fresh = without.has(demand) ? null : pickNode(scope, demand, wish);
    if (fresh === null) without.add(demand);
    const view = fresh ?? pickNode(used, demand, wish);
    if (view === null) return busy(plan, bundle);
    sketch.put(bundle, view);
    if (fresh !== null) scope.leave(view.spec.id);
  }
  return null;
}

function strictPack(plan: Plan, scope: Scope, sketch: Sketch): Failure | null {
  const { request, order } = plan;
  const sum = plan.sum as Demand;
  const target = request.softTarget === null ? null : scope.pool.get(request.softTarget);
  const starts = order.filter((bundle) => blockStart(plan, bundle) === bundle).sort((a, b) => a - b);
  const wish = wishOf(
    plan,
    starts.map((start) => blockOf(plan, start)),
  );
  const view = target !== null && scope.has(target) && rate(target, sum) >= 0 ? target : pickNode(scope, sum, wish);
  if (view === null) return { why: 'busy', bundle: null, demand: sum };
  sketch.putAll(view);
  return null;
}

function strictSpread(plan: Plan, scope: Scope, sketch: Sketch): Failure | null {
  for (const bundle of plan.order) {
    const view = pickNode(scope, plan.demands[bundle] as Demand, wishOf(plan, [[bundle]]));
    if (view === null) return busy(plan, bundle);
    sketch.put(bundle, view);
    scope.leave(view.spec.id);
  }
  return null;
}

function busy(plan: Plan, bundle: number): Failure {
  return { why: 'busy', bundle, demand: plan.demands[bundle] as Demand };
}
