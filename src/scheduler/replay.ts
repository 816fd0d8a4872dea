/** Replays operations on a cluster of paper, letting everything settle after each. Pure. */
import { ClusterState } from './cluster-state.js';
import { placeGroup } from './place-group.js';
import type { ReplayCase, ReplayOp } from './replay-case.js';
import { placeTask } from './tasks.js';
import type { Grant } from './types.js';

/** What became of an operation, nodes by position. A group that had to wait keeps `pending` and says when its time came. */
export type ReplayResult =
  | { readonly m: readonly number[]; readonly s: 'created' }
  | {
      /** Where it was placed in the end, and after which release. */
      readonly late?: readonly number[];
      readonly late_after?: string;
      readonly s: 'pending';
      readonly why: 'NO_RESOURCES' | 'INFEASIBLE';
    };

type Wish = Exclude<ReplayOp, { readonly op: 'release' }>;
type Piece = { readonly node: string; readonly grant: Grant };
type Attempt = readonly Piece[] | 'NO_RESOURCES' | 'INFEASIBLE';

/**
 * Replay. What does not fit waits in the order in which it came, and is tried again at each release; what can never fit does not, since
 * no node joins.
 * @returns results by id, in the order of the operations
 */
export function replay(recorded: ReplayCase): Record<string, ReplayResult> {
  return Object.fromEntries(replayEntries(recorded));
}

/** The same as a map: an object would put ids that are numbers first. */
export function replayEntries({ nodes, ops }: ReplayCase): ReadonlyMap<string, ReplayResult> {
  const state = new ClusterState();
  for (const { schedulable, ...spec } of nodes) state.addNode(spec, schedulable);
  const position = new Map(nodes.map(({ id }, index) => [id, index]));
  const results = new Map<string, ReplayResult>();
  const held = new Map<string, readonly Piece[]>();
  let waiting: Wish[] = [];

  const attempt = (wish: Wish): readonly number[] | 'NO_RESOURCES' | 'INFEASIBLE' => {
    const pieces = tryWish(state, wish);
    if (typeof pieces === 'string') return pieces;
    for (const { node, grant } of pieces) {
      if (!state.claim(node, grant)) throw new Error(`the plan for ${wish.id} takes what ${node} does not have`);
    }
    held.set(wish.id, pieces);
    return pieces.map(({ node }) => position.get(node) ?? -1);
  };
  const release = (id: string): void => {
    waiting = waiting.filter((wish) => wish.id !== id);
    const pieces = held.get(id) ?? [];
    held.delete(id);
    for (const { node, grant } of pieces) state.giveBack(node, grant);
    if (pieces.length === 0) return;
    waiting = waiting.filter((wish) => {
      const late = attempt(wish);
      if (typeof late === 'string') return true;
      results.set(wish.id, { late, late_after: id, s: 'pending', why: 'NO_RESOURCES' });
      return false;
    });
  };

  for (const op of ops) {
    if (op.op === 'release') {
      release(op.id);
      continue;
    }
    const outcome = attempt(op);
    results.set(op.id, typeof outcome === 'string' ? { s: 'pending', why: outcome } : { m: outcome, s: 'created' });
    if (outcome === 'NO_RESOURCES') waiting.push(op);
  }
  return results;
}

function tryWish(state: ClusterState, wish: Wish): Attempt {
  if (wish.op === 'create') {
    const placement = placeGroup(state, wish.request);
    if (placement.outcome === 'placed') return [...placement.bundles].sort((a, b) => a.index - b.index);
    return placement.outcome === 'pending' ? 'NO_RESOURCES' : 'INFEASIBLE';
  }
  const { node, resources } = wish;
  const strategy = {
    kind: 'node-affinity',
    node,
    soft: false,
    spillOnUnavailable: false,
    failOnUnavailable: false,
  } as const;
  const placement = placeTask(
    state,
    { resources, strategy, selectors: [[]], preferred: null },
    { random: 0, cursor: 0 },
  );
  if (placement.outcome === 'placed') return [placement];
  return placement.outcome === 'pending' ? 'NO_RESOURCES' : 'INFEASIBLE';
}
