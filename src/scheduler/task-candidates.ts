/** Which nodes may run a task at all, and which of them could begin now. Pure. */
import type { ClusterState } from './cluster-state.js';
import { chooseInstances } from './free.js';
import { describeSelector, matches } from './labels.js';
import { covers, describeResources, isUnitResource } from './resources.js';
import type { LabelSelector, NodeView, Resources, TaskRequest } from './types.js';

/** What placing a task reads of a cluster. */
export type TaskNodes = Pick<ClusterState, 'node' | 'nodes'>;

/** A node that could run the task if everything on it were free. */
export interface TaskCandidate {
  readonly view: NodeView;
  /** It is free now: the sum, and instances that hold it. */
  readonly available: boolean;
}

/**
 * The candidates under the first selector that has any, in joining order; empty when none has.
 * @returns also the number of nodes that are alive
 */
export function taskCandidates(
  state: TaskNodes,
  request: TaskRequest,
): { readonly candidates: readonly TaskCandidate[]; readonly alive: number } {
  const alive = [...state.nodes()].filter(({ schedulable }) => schedulable);
  for (const selector of request.selectors) {
    const candidates = alive
      .filter((view) => couldHold(view, request.resources, selector))
      .map((view) => ({ view, available: isFree(view, request.resources) }));
    if (candidates.length > 0) return { candidates, alive: alive.length };
  }
  return { candidates: [], alive: alive.length };
}

/** Whether the node has the labels, and as much in total. */
export function couldHold(view: NodeView, resources: Resources, selector: LabelSelector): boolean {
  return covers(view.spec.total, resources) && matches(view.spec, selector);
}

/** Whether the node can give it now. */
export function isFree({ free }: NodeView, resources: Resources): boolean {
  if (!covers(free.amounts, resources)) return false;
  for (const [name, units] of resources) {
    if (isUnitResource(name) && chooseInstances(free.instances.get(name) ?? [], units) === null) return false;
  }
  return true;
}

/** `GPU 2 on a node with zone = a or zone = b`: for people. */
export function describeTask({ resources, selectors }: TaskRequest): string {
  const labels = selectors.map(describeSelector).filter((text) => text !== '');
  return `${describeResources(resources)}${labels.length === 0 ? '' : ` on a node with ${labels.join(', else ')}`}`;
}
