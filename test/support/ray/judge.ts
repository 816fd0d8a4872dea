/**
 * Judges what Ray and what our replay made of one sequence. Follows Ray's choices and asks, in the state that they made, whether Ray's next
 * step is legal and what our scheduler would have done; follows our own choices in the same way. The oracle is placement-oracle.ts.
 */
import { ClusterState } from '../../../src/scheduler/cluster-state.js';
import { take } from '../../../src/scheduler/free.js';
import { placeGroup } from '../../../src/scheduler/place-group.js';
import type { ReplayResult } from '../../../src/scheduler/replay.js';
import { toResources } from '../../../src/scheduler/resources.js';
import type { Grant, GroupPlacement, GroupRequest, NodeView } from '../../../src/scheduler/types.js';
import { compileGroup } from '../../../src/scheduler/validate.js';
import { legal } from '../placement-cases.js';
import type { RandomSequence, SequenceOp } from './random-sequences.js';

export type Results = Readonly<Record<string, ReplayResult>>;
type Create = Extract<SequenceOp, { readonly op: 'create' }>;
type Piece = { readonly node: string; readonly grant: Grant };

/** What the judge saw, added up over sequences. */
export interface Tally {
  /** Times that Ray tried to place a group. */
  steps: number;
  /** Of these: it placed one. */
  placed: number;
  /** Of these: one status and one multiset of bundles by node is legal, and both had it. */
  equal: number;
  /** Of these: several are legal, and both had one of them. */
  tied: number;
  /** Of these: Ray waits although devices for all are free, since it compares sums; ours places. */
  stuck: number;
  /** Sequences that ended early, because Ray miscounts a node after it refused shared devices. */
  cut: number;
  readonly wrong: string[];
}

const nodeName = (index: number): string => `n${index}`;

/** Follows a sequence on paper. */
class Course {
  readonly state = new ClusterState();
  readonly requests = new Map<string, GroupRequest>();
  readonly #held = new Map<string, readonly Piece[]>();

  constructor(sequence: RandomSequence) {
    for (const [index, { res, labels }] of sequence.nodes.entries()) {
      const shared = { labels: new Map(Object.entries(labels)), devices: new Map() };
      this.state.addNode({ id: nodeName(index), total: toResources(res), ...shared });
    }
  }

  views(): NodeView[] {
    return [...this.state.nodes()];
  }

  request(op: Create): void {
    const request = compileGroup({
      bundles: op.bundles,
      strategy: op.strategy,
      bundleLabelSelector: op.labels,
      softTarget: op.target === undefined ? null : nodeName(op.target),
    });
    this.requests.set(op.id, request);
  }

  /** What the bundles take there; null: they do not fit. How Ray deals out shared devices inside a node is not told. */
  fit(bundles: GroupRequest['bundles'], nodes: readonly number[]): Piece[] | null {
    const free = new Map([...this.state.nodes()].map((view) => [view.spec.id, view.free]));
    const pieces: Piece[] = [];
    for (const [index, bundle] of bundles.entries()) {
      const node = nodeName(nodes[index] as number);
      const taken = take(free.get(node) as NodeView['free'], bundle);
      if (taken === null) return null;
      free.set(node, taken.free);
      pieces.push({ node, grant: taken.grant });
    }
    return pieces;
  }

  hold(id: string, pieces: readonly Piece[]): void {
    this.#held.set(id, pieces);
    for (const { node, grant } of pieces) {
      if (!this.state.claim(node, grant)) throw new Error(`${id} takes what is not free on ${node}`);
    }
  }

  /** Whether it held anything. */
  release(id: string): boolean {
    const pieces = this.#held.get(id) ?? [];
    for (const { node, grant } of pieces) this.state.giveBack(node, grant);
    this.#held.delete(id);
    return pieces.length > 0;
  }
}

/** Ray's way. `lateOrder`: those that waited, in the order in which Ray created them. */
export function judgeRay(sequence: RandomSequence, results: Results, lateOrder: readonly string[], tally: Tally): void {
  walk(sequence, results, lateOrder, tally.wrong, (course, id, request, outcome, followed) => {
    tally.steps += 1;
    if (outcome !== 'pending' && outcome !== 'infeasible') tally.placed += 1;
    const allowed = legal(course.views(), request);
    const ours = outcomeOf(placeGroup(course.state, request));
    const where = `${sequence.case} ${id}`;
    if (!allowed.has(ours)) tally.wrong.push(`${where}: in Ray's state ours is ${ours}, not of ${list(allowed)}`);
    const classes = new Set([...allowed].map((one) => classOf(request, one)));
    if (!allowed.has(outcome)) {
      const stuck = sequence.fractional && outcome === 'pending' && sumsMislead(course, request, allowed);
      if (stuck) tally.stuck += 1;
      else tally.wrong.push(`${where}: Ray's ${outcome} is not of ${list(allowed)}${followed}`);
    } else if (classes.size > 1) tally.tied += 1;
    else if (classOf(request, ours) === classOf(request, outcome)) tally.equal += 1;
    else tally.wrong.push(`${where}: ${ours}, Ray ${outcome}, and only one is legal`);
    return null;
  });
}

/** Our own way, as `twinkle-node place --replay` writes it: what `placeGroup` does step by step, and legal at each. */
export function judgeOurs(sequence: RandomSequence, results: Results, wrong: string[]): void {
  // We try those that wait in the order in which they came.
  const lateOrder = sequence.ops.flatMap(({ op, id }) => {
    const result = results[id];
    return op === 'create' && result?.s === 'pending' && result.late !== undefined ? [id] : [];
  });
  walk(sequence, results, lateOrder, wrong, (course, id, request, outcome, followed) => {
    const where = `${sequence.case} ${id}`;
    const allowed = legal(course.views(), request);
    if (!allowed.has(outcome)) wrong.push(`${where}: our ${outcome} is not of ${list(allowed)}${followed}`);
    const placement = placeGroup(course.state, request);
    if (outcomeOf(placement) !== outcome) wrong.push(`${where}: replay says ${outcome}, not ${outcomeOf(placement)}`);
    return placement.outcome === 'placed' ? placement.bundles : null;
  });
}

/** Judges one step; returns what the group holds from now on, or null: not known, or nothing. */
type Step = (
  course: Course,
  id: string,
  request: GroupRequest,
  outcome: string,
  followed: string,
) => readonly Piece[] | null;

function walk(
  sequence: RandomSequence,
  results: Results,
  lateOrder: readonly string[],
  wrong: string[],
  step: Step,
): void {
  const course = new Course(sequence);
  const waiting = new Set<string>();
  const place = (id: string, nodes: readonly number[], followed: string): void => {
    const request = course.requests.get(id) as GroupRequest;
    const pieces =
      step(course, id, request, nodes.map(nodeName).join(), followed) ?? course.fit(request.bundles, nodes);
    if (pieces === null) wrong.push(`${sequence.case} ${id}: no room on ${nodes.join()}`);
    else course.hold(id, pieces);
    waiting.delete(id);
  };
  const wait = (id: string, why: string, followed: string): void => {
    const outcome = why === 'INFEASIBLE' ? 'infeasible' : 'pending';
    step(course, id, course.requests.get(id) as GroupRequest, outcome, followed);
    if (outcome === 'pending') waiting.add(id);
  };
  for (const op of sequence.ops) {
    const result = results[op.id];
    const before = [...waiting].filter((id) => id !== op.id);
    const released = op.op === 'remove' && course.release(op.id);
    waiting.delete(op.id);
    if (op.op === 'occupy') {
      const pieces = course.fit([toResources(op.res)], [op.node]);
      if (pieces === null || result?.s !== 'created') wrong.push(`${sequence.case} ${op.id}: not created`);
      else course.hold(op.id, pieces);
    } else if (op.op === 'create') {
      course.request(op);
      if (result === undefined) wrong.push(`${sequence.case} ${op.id}: no result`);
      else if (result.s === 'created') place(op.id, result.m, '');
      else wait(op.id, result.why, '');
    }
    const event = op.op === 'remove' ? op.id : `${op.op} ${op.id}`;
    for (const id of lateOrder) {
      const late = results[id];
      const now = late?.s === 'pending' && late.late_after === event && before.includes(id);
      if (now && late.late !== undefined) place(id, late.late, ` after ${event}`);
    }
    if (released) for (const id of before) if (waiting.has(id)) wait(id, 'NO_RESOURCES', ` after ${op.id}`);
  }
}

function outcomeOf(placement: GroupPlacement): string {
  return placement.outcome === 'placed' ? placement.bundles.map(({ node }) => node).join() : placement.outcome;
}

/** By sums another mapping is legal than by devices: Ray plans it, and its node refuses. */
function sumsMislead(course: Course, request: GroupRequest, allowed: ReadonlySet<string>): boolean {
  const bySums = course.views().map((view) => ({ ...view, free: { ...view.free, instances: new Map() } }));
  return [...legal(bySums, request)].some((outcome) => !allowed.has(outcome));
}

/** The status, or what each node holds: equal bundles are the same. */
function classOf(request: GroupRequest, outcome: string): string {
  if (outcome === 'pending' || outcome === 'infeasible') return outcome;
  const byNode = new Map<string, string[]>();
  for (const [index, node] of outcome.split(',').entries()) {
    const bundle = JSON.stringify([...(request.bundles[index] ?? [])].sort());
    byNode.set(node, [...(byNode.get(node) ?? []), bundle].sort());
  }
  return JSON.stringify([...byNode.values()].map((bundles) => bundles.join()).sort());
}

function list(outcomes: ReadonlySet<string>): string {
  return [...outcomes].slice(0, 8).join(' | ');
}
