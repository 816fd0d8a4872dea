/**
 * Judges what `place --replay` printed: follows its choices step by step and asks the oracle whether each was legal in the state that the ones
 * before had made.
 */
import { ClusterState } from '../../src/scheduler/cluster-state.js';
import { take } from '../../src/scheduler/free.js';
import type { ReplayResult } from '../../src/scheduler/replay.js';
import { parseCase, type ReplayOp } from '../../src/scheduler/replay-case.js';
import type { Grant, NodeView, Resources } from '../../src/scheduler/types.js';
import { legal, type RecordedCase } from './placement-cases.js';

type Create = Extract<ReplayOp, { readonly op: 'create' }>;
type Piece = { readonly node: string; readonly grant: Grant };

/** What is wrong; empty: nothing. */
export function judgeReplay(recorded: RecordedCase, results: Readonly<Record<string, ReplayResult>>): string[] {
  const { nodes, ops } = parseCase(recorded);
  const state = new ClusterState();
  for (const { schedulable, ...spec } of nodes) state.addNode(spec, schedulable);
  const wrong: string[] = [];
  const held = new Map<string, Piece[]>();
  const waiting = new Map<string, Create>();

  const seat = (id: string, bundles: readonly Resources[], mapping: readonly number[]): void => {
    const pieces = bundles.map((bundle, index) => {
      const node = nodes[mapping[index] ?? -1]?.id ?? 'nowhere';
      const taken = take((state.node(node) as NodeView).free, bundle);
      if (taken === null || !state.claim(node, taken.grant)) throw new Error(`${id}: ${node} has no room`);
      return { node, grant: taken.grant };
    });
    held.set(id, pieces);
  };
  const judge = (op: Create, mapping: readonly number[] | null, why: string): void => {
    const ours = mapping === null ? why : mapping.map((node) => nodes[node]?.id).join();
    const allowed = legal([...state.nodes()], op.request);
    if (!allowed.has(ours)) wrong.push(`${op.id}: ${ours} is not among ${[...allowed].join(' | ')}`);
    else if (mapping !== null) seat(op.id, op.request.bundles, mapping);
  };

  for (const op of ops) {
    const result = results[op.id] as ReplayResult;
    if (op.op === 'hold') seat(op.id, [op.resources], 'm' in result ? result.m : []);
    if (op.op === 'create') {
      const infeasible = result.s === 'pending' && result.why === 'INFEASIBLE';
      judge(op, 'm' in result ? result.m : null, infeasible ? 'infeasible' : 'pending');
      if (result.s === 'pending' && !infeasible) waiting.set(op.id, op);
    }
    if (op.op !== 'release') continue;
    waiting.delete(op.id);
    for (const { node, grant } of held.get(op.id) ?? []) state.giveBack(node, grant);
    held.delete(op.id);
    for (const [id, create] of waiting) {
      const its = results[id] as ReplayResult;
      const late = its.s === 'pending' && its.late_after === op.id ? (its.late ?? null) : null;
      judge(create, late, 'pending');
      if (late !== null) waiting.delete(id);
    }
  }
  return [...wrong, ...statuses(recorded, results)];
}

/** Where Ray did the same in every run, so must we. */
function statuses(recorded: RecordedCase, results: Readonly<Record<string, ReplayResult>>): string[] {
  return Object.entries(recorded.invariants).flatMap(([id, { status }]) => {
    const result = results[id];
    const ours = result === undefined ? 'missing' : result.s === 'created' ? 'created' : `pending:${result.why}`;
    return status.includes(ours) ? [] : [`${id}: ${ours}, Ray: ${status.join(' or ')}`];
  });
}
