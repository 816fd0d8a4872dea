/** How a placed group came to its nodes, for people: each choice, and what its candidates scored. Reads a placement; decides nothing. */
import type { ClusterState } from './cluster-state.js';
import { bundleDemand, type Demand, labelOf } from './demand.js';
import { rate } from './pick-node.js';
import { type Plan, planOf } from './plan.js';
import type { GroupRequest, NodeView, PlacedBundle, Resources } from './types.js';

const MOST_OTHERS = 16;

/** One choice of a node. */
export interface TraceStep {
  /** The bundle that chose; null: all of them together (STRICT_PACK). */
  readonly bundle: number | null;
  readonly resources: Resources;
  readonly node: string;
  readonly score: number;
  readonly why: 'highest' | 'first-of-equals' | 'best-linked' | 'soft-target';
  /** The node has other bundles of the group already: no unused node had room (SPREAD). */
  readonly again: boolean;
  /** Bundles that were put there because they fit as well (PACK), in that order. */
  readonly beside: readonly number[];
  /** Other nodes that could take it, best first, at most 16. */
  readonly others: readonly { readonly node: string; readonly score: number }[];
  /** How many other nodes could take it. */
  readonly otherCount: number;
  /** Candidates that could not. */
  readonly unfit: number;
}

/**
 * The first choices of a placement, in the order in which they were made.
 * @param state as it was before the group was placed; not changed
 * @param limit of choices: each looks at every node
 */
export function traceGroup(
  state: ClusterState,
  request: GroupRequest,
  placed: readonly PlacedBundle[],
  limit: number,
): TraceStep[] {
  const plan = planOf(request);
  const seats = new Map(placed.map((bundle) => [bundle.index, bundle]));
  const scratch = state.copy();
  const used = new Set<string>();
  const steps: TraceStep[] = [];
  for (const { head, beside, node, demand } of choices(plan, seats)) {
    if (steps.length === limit) break;
    const chosen = scratch.node(node) as NodeView;
    const again = used.has(node);
    const candidates = candidatesOf(scratch, request, chosen).filter(({ spec }) => used.has(spec.id) === again);
    steps.push({ bundle: head, beside, ...verdict(candidates, chosen, demand, request), again });
    used.add(node);
    for (const index of head === null ? seats.keys() : [head, ...beside]) {
      const seat = seats.get(index);
      if (seat !== undefined) scratch.claim(seat.node, seat.grant);
    }
  }
  return steps;
}

interface Choice {
  readonly head: number | null;
  readonly beside: readonly number[];
  readonly node: string;
  readonly demand: Demand;
}

/** PACK chooses once per node; STRICT_PACK once; the others once per bundle. */
function* choices({ request, order, sum }: Plan, seats: ReadonlyMap<number, PlacedBundle>): Generator<Choice> {
  const nodeOf = (index: number): string => seats.get(index)?.node ?? '';
  if (sum !== null) {
    yield { head: null, beside: [], node: nodeOf(0), demand: sum };
    return;
  }
  const waiting = new Set(order);
  for (const head of order) {
    if (!waiting.has(head)) continue;
    const node = nodeOf(head);
    const beside = request.strategy === 'PACK' ? order.filter((index) => index !== head && nodeOf(index) === node) : [];
    for (const index of [head, ...beside]) waiting.delete(index);
    yield {
      head,
      beside,
      node,
      demand: bundleDemand(request.bundles[head] as Resources, request.selectors?.[head] ?? []),
    };
  }
}

function candidatesOf(
  scratch: ClusterState,
  { domain, occupied, strategy }: GroupRequest,
  chosen: NodeView,
): NodeView[] {
  const value = domain === null ? undefined : labelOf(chosen.spec, domain.label);
  return [...scratch.nodes()].filter(
    ({ spec, schedulable }) =>
      schedulable &&
      (domain === null || labelOf(spec, domain.label) === value) &&
      !(strategy === 'STRICT_SPREAD' && occupied.has(spec.id)),
  );
}

function verdict(
  candidates: readonly NodeView[],
  chosen: NodeView,
  demand: Demand,
  request: GroupRequest,
): Pick<TraceStep, 'node' | 'score' | 'why' | 'others' | 'otherCount' | 'unfit' | 'resources'> {
  const scored = candidates.map((view) => ({ view, node: view.spec.id, score: rate(view, demand) }));
  const fit = scored.filter(({ score }) => score >= 0).sort((a, b) => b.score - a.score || a.view.order - b.view.order);
  const score = fit.find(({ view }) => view === chosen)?.score ?? 0;
  const others = fit.filter(({ view }) => view !== chosen);
  const equals = others.filter((other) => other.score === score);
  return {
    node: chosen.spec.id,
    score,
    why: reasonOf(
      chosen,
      equals.map(({ view }) => view),
      request,
    ),
    others: others.slice(0, MOST_OTHERS).map(({ node, score: its }) => ({ node, score: its })),
    otherCount: others.length,
    unfit: scored.length - fit.length,
    resources: demand.resources,
  };
}

function reasonOf(chosen: NodeView, equals: readonly NodeView[], { softTarget }: GroupRequest): TraceStep['why'] {
  if (softTarget === chosen.spec.id) return 'soft-target';
  if (equals.length === 0) return 'highest';
  return equals.some(({ order }) => order < chosen.order) ? 'best-linked' : 'first-of-equals';
}
