/** Why a task is not placed, node by node. Looks at every node: for people who ask, not for each attempt. Pure. */
import { bundleDemand } from './demand.js';
import { judge, type Verdict } from './judge.js';
import { couldHold, type TaskNodes } from './task-candidates.js';
import type { LabelSelector, NodeReason, NodeView, TaskRequest } from './types.js';

/** For every node, in joining order, why it does not take the task; `available` where it would. */
export function explainTask(state: TaskNodes, request: TaskRequest): NodeReason[] {
  const only = boundTo(state, request);
  const demand = bundleDemand(request.resources, selectorOf(state, request, only));
  return Array.from(state.nodes(), (view) => {
    const { id } = view.spec;
    return { node: id, ...(only === null || only === id ? here(view, demand) : elsewhere(view, request, only)) };
  });
}

function here({ schedulable, spec, free }: NodeView, demand: Parameters<typeof judge>[2]): Verdict {
  return schedulable ? judge(spec, free, demand) : CLOSED;
}

const CLOSED: Verdict = {
  kind: 'not-schedulable',
  reason: 'takes no new work: it is dead, draining or was not heard of lately',
};

function elsewhere({ schedulable }: NodeView, { strategy }: TaskRequest, only: string): Verdict {
  if (!schedulable) return CLOSED;
  const soft = strategy.kind === 'node-affinity' && strategy.soft;
  return soft
    ? { kind: 'busy', reason: `is not asked: the task waits for ${only}, and does not spill` }
    : { kind: 'infeasible', reason: `is not ${only}, and the task may run nowhere else` };
}

/** The only node that is asked; null: all are. */
function boundTo(state: TaskNodes, request: TaskRequest): string | null {
  const { strategy } = request;
  if (strategy.kind !== 'node-affinity') return null;
  if (!strategy.soft) return strategy.node;
  const view = state.node(strategy.node);
  const stays = view?.schedulable === true && fitting(view, request) !== undefined && !strategy.spillOnUnavailable;
  return stays ? strategy.node : null;
}

/** The first selector that counts: one that a node satisfies which has enough in total. */
function selectorOf(state: TaskNodes, request: TaskRequest, only: string | null): LabelSelector {
  const views = only === null ? [...state.nodes()].filter(({ schedulable }) => schedulable) : [state.node(only)];
  const counts = request.selectors.find((selector) =>
    views.some((view) => view !== null && couldHold(view, request.resources, selector)),
  );
  return counts ?? request.selectors[0] ?? [];
}

function fitting(view: NodeView, { resources, selectors }: TaskRequest): LabelSelector | undefined {
  return selectors.find((selector) => couldHold(view, resources, selector));
}
