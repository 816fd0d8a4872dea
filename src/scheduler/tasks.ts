/** Places a task or actor that is in no group: Ray's default, SPREAD and node affinity. Pure: chance and cursor are given. */
import { take } from './free.js';
import { describeResources } from './resources.js';
import {
  couldHold,
  describeTask,
  isFree,
  type TaskCandidate,
  type TaskNodes,
  taskCandidates,
} from './task-candidates.js';
import { chooseHybrid, chooseSpread } from './task-policies.js';
import type { TaskChance, TaskPlacement, TaskRequest, TaskStrategy } from './types.js';

type Affinity = Extract<TaskStrategy, { readonly kind: 'node-affinity' }>;

/**
 * Choose a node. Takes nothing: the caller claims `grant` on `node`. A pending answer names the node on which the task waits.
 * Costs one pass over the nodes.
 */
export function placeTask(state: TaskNodes, request: TaskRequest, chance: TaskChance): TaskPlacement {
  const { strategy } = request;
  if (strategy.kind === 'node-affinity') return byAffinity(state, request, strategy, chance);
  const { candidates, alive } = taskCandidates(state, request);
  if (candidates.length === 0) return nowhere(request, alive, chance);
  if (strategy.kind === 'spread') {
    const ids = [...state.nodes()].filter(({ schedulable }) => schedulable).map(({ spec }) => spec.id);
    const { chosen, cursor } = chooseSpread(candidates, ids, chance);
    return answer(chosen, request, candidates, cursor);
  }
  return answer(byDefault(candidates, request, alive, chance), request, candidates, chance.cursor);
}

/** Work that needs nothing goes anywhere. */
function byDefault(
  candidates: readonly TaskCandidate[],
  { resources, preferred }: TaskRequest,
  alive: number,
  { random }: TaskChance,
): TaskCandidate {
  const any = candidates[Math.min(candidates.length - 1, Math.floor(random * candidates.length))];
  if (resources.size === 0 && any !== undefined) return any;
  return chooseHybrid(candidates, resources, alive, preferred, random);
}

function byAffinity(state: TaskNodes, request: TaskRequest, affinity: Affinity, chance: TaskChance): TaskPlacement {
  const view = state.node(affinity.node);
  const why = view === null ? 'is not known' : whyNever(request, view);
  if (view !== null && why === null) {
    const available = isFree(view, request.resources);
    const stays = !affinity.spillOnUnavailable && !affinity.failOnUnavailable;
    const candidate = { view, available };
    if (available || stays) return answer(candidate, request, [candidate], chance.cursor);
    if (affinity.failOnUnavailable) return refused(affinity, `does not have ${free(request)}`, chance);
  } else if (!affinity.soft) {
    return refused(affinity, why ?? 'cannot take it', chance);
  }
  return placeTask(state, { ...request, strategy: { kind: 'default' } }, chance);
}

/** Why the node can never run it, or null. */
function whyNever(
  { resources, selectors }: TaskRequest,
  view: NonNullable<ReturnType<TaskNodes['node']>>,
): string | null {
  if (!view.schedulable) return 'takes no work';
  if (selectors.some((selector) => couldHold(view, resources, selector))) return null;
  if (couldHold(view, resources, [])) return 'does not have the labels asked for';
  return `has ${describeResources(view.spec.total)} in total, not ${describeResources(resources)}`;
}

function refused({ node }: Affinity, why: string, { cursor }: TaskChance): TaskPlacement {
  return { outcome: 'refused', node, reason: `node ${node} ${why}, and the task may run nowhere else`, cursor };
}

function answer(
  { view, available }: TaskCandidate,
  request: TaskRequest,
  candidates: readonly TaskCandidate[],
  cursor: number,
): TaskPlacement {
  const node = view.spec.id;
  const taken = available ? take(view.free, request.resources) : null;
  if (taken !== null) return { outcome: 'placed', node, grant: taken.grant, cursor };
  const others = candidates.length === 1 ? 'one node could have' : `${candidates.length} nodes could have`;
  return { outcome: 'pending', node, reason: `${others} ${free(request)} now; it waits on ${node}`, cursor };
}

function free(request: TaskRequest): string {
  return `${describeResources(request.resources)} free`;
}

function nowhere(request: TaskRequest, alive: number, { cursor }: TaskChance): TaskPlacement {
  const reason =
    alive === 0
      ? 'no node is alive'
      : `none of ${alive} ${alive === 1 ? 'node' : 'nodes'} has ${describeTask(request)}`;
  return { outcome: 'infeasible', node: null, reason, cursor };
}
