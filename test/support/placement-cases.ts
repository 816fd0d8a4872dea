/**
 * The judge of recorded cases: runs a case with `placeGroup`, follows its choices and asks the oracle whether each is legal in the state that
 * they made. Also checks the oracle against what Ray did.
 */
import { readFileSync } from 'node:fs';
import { ClusterState } from '../../src/scheduler/cluster-state.js';
import { take } from '../../src/scheduler/free.js';
import { parseSelector } from '../../src/scheduler/labels.js';
import { placeGroup } from '../../src/scheduler/place-group.js';
import { toResources } from '../../src/scheduler/resources.js';
import type { Grant, GroupRequest, NodeView, Strategy } from '../../src/scheduler/types.js';
import { legalOutcomes } from './placement-oracle.js';

type Quantities = Record<string, number>;

interface RecordedOp {
  readonly op: string;
  readonly id: string;
  readonly strategy: Strategy;
  readonly bundles: readonly Quantities[];
  readonly labels?: readonly Record<string, string>[];
  readonly target?: number;
  readonly node: number;
  readonly res: Quantities;
}

/** By id: where it went, or why not. */
export interface Result {
  readonly s: 'created' | 'pending';
  readonly m?: readonly number[];
  readonly why?: 'INFEASIBLE' | 'NO_RESOURCES';
  readonly late?: readonly number[];
  readonly late_after?: string;
}

interface Model {
  readonly status: string;
  readonly why: string | null;
  readonly n_legal: number;
  readonly legal: readonly (readonly number[])[];
}

export interface RecordedCase {
  readonly case: string;
  readonly nodes: readonly { readonly res: Quantities; readonly labels: Record<string, string> }[];
  readonly ops: readonly RecordedOp[];
  readonly outcomes: readonly {
    readonly result: Readonly<Record<string, Result>>;
    readonly model: Readonly<Record<string, Model>>;
  }[];
  readonly invariants: Readonly<
    Record<string, { readonly status: readonly string[]; readonly bundle_multisets: readonly (readonly string[][])[] }>
  >;
}

export function recordedCases(): RecordedCase[] {
  const file = new URL('../fixtures/ray-2.60-placement.jsonl', import.meta.url);
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedCase);
}

const nodeName = (index: number): string => `n${index}`;
const nodeIndex = (name: string): number => Number(name.slice(1));

function clusterOf(recorded: RecordedCase): ClusterState {
  const state = new ClusterState();
  for (const [index, { res, labels }] of recorded.nodes.entries()) {
    const shared = { labels: new Map(Object.entries(labels)), devices: new Map() };
    state.addNode({ id: nodeName(index), total: toResources(res), ...shared });
  }
  return state;
}

function requestOf(op: RecordedOp): GroupRequest {
  return {
    strategy: op.strategy,
    bundles: op.bundles.map(toResources),
    selectors: op.labels?.map((labels) => parseSelector(labels, 'labels')) ?? null,
    softTarget: op.target === undefined ? null : nodeName(op.target),
    domain: null,
    occupied: new Set(),
    tensorParallel: 1,
  };
}

/** What is legal in a state. With several custom resources every order of their names is. */
export function legal(nodes: readonly NodeView[], request: GroupRequest): Set<string> {
  const common = ['GPU', 'CPU', 'memory', 'object_store_memory'];
  const custom = new Set(
    request.bundles.flatMap((bundle) => [...bundle.keys()].filter((name) => !common.includes(name))),
  );
  return new Set(permutations([...custom]).flatMap((order) => [...legalOutcomes(nodes, request, order)]));
}

function permutations(names: readonly string[]): string[][] {
  if (names.length === 0) return [[]];
  return names.flatMap((name) => permutations(names.filter((other) => other !== name)).map((rest) => [name, ...rest]));
}

/** Follows a case; `choose` decides where a group goes. Retries what waits, in order, after each removal, as a settled Ray has. */
class Run {
  readonly state: ClusterState;
  readonly results: Record<string, Result> = {};
  readonly #held = new Map<string, { readonly node: string; readonly grant: Grant }[]>();
  readonly #waiting = new Map<string, RecordedOp>();

  constructor(
    recorded: RecordedCase,
    readonly choose: (run: Run, op: RecordedOp, after: string | null) => Result,
  ) {
    this.state = clusterOf(recorded);
    for (const op of recorded.ops) this.#step(op);
  }

  hold(id: string, pieces: readonly { readonly node: string; readonly grant: Grant }[]): void {
    this.#held.set(id, [...pieces]);
    for (const { node, grant } of pieces) {
      if (!this.state.claim(node, grant)) throw new Error(`${id} holds on ${node} what is not free there`);
    }
  }

  /** Holds bundles where somebody says that they are. */
  seat(op: RecordedOp, nodes: readonly number[]): void {
    const pieces: { node: string; grant: Grant }[] = [];
    const free = new Map([...this.state.nodes()].map((view) => [view.spec.id, view.free]));
    for (const [index, bundle] of op.bundles.entries()) {
      const node = nodeName(nodes[index] as number);
      const taken = take(free.get(node) as NodeView['free'], toResources(bundle));
      if (taken === null) throw new Error(`${op.id}: bundle ${index} does not fit ${node}`);
      free.set(node, taken.free);
      pieces.push({ node, grant: taken.grant });
    }
    this.hold(op.id, pieces);
  }

  #step(op: RecordedOp): void {
    if (op.op === 'occupy') {
      const node = nodeName(op.node);
      const taken = take((this.state.node(node) as NodeView).free, toResources(op.res));
      if (taken === null) throw new Error(`${op.id} does not fit ${node}`);
      this.hold(op.id, [{ node, grant: taken.grant }]);
      this.results[op.id] = { s: 'created', m: [op.node] };
    } else if (op.op === 'create') {
      const result = this.choose(this, op, null);
      this.results[op.id] = result;
      if (result.why === 'NO_RESOURCES') this.#waiting.set(op.id, op);
    } else if (op.op === 'remove') {
      for (const { node, grant } of this.#held.get(op.id) ?? []) this.state.giveBack(node, grant);
      this.#held.delete(op.id);
      this.#waiting.delete(op.id);
      for (const [id, waiting] of this.#waiting) {
        const { s, m } = this.choose(this, waiting, op.id);
        if (s === 'pending' || m === undefined) continue;
        this.results[id] = { s: 'pending', why: 'NO_RESOURCES', late: m, late_after: op.id };
        this.#waiting.delete(id);
      }
    } else {
      throw new Error(`no such operation: ${op.op}`);
    }
  }
}

/** What is wrong with our way through a case; empty: nothing. */
export function judgeCase(recorded: RecordedCase): string[] {
  const wrong: string[] = [];
  const run = new Run(recorded, (self, op) => {
    const { state } = self;
    const request = requestOf(op);
    const allowed = legal([...state.nodes()], request);
    const placement = placeGroup(state, request);
    const ours = placement.outcome === 'placed' ? placement.bundles.map(({ node }) => node).join() : placement.outcome;
    if (!allowed.has(ours)) wrong.push(`${op.id}: ${ours} is not among ${[...allowed].join(' | ')}`);
    if (placement.outcome !== 'placed') {
      return { s: 'pending', why: placement.outcome === 'pending' ? 'NO_RESOURCES' : 'INFEASIBLE' };
    }
    self.hold(op.id, placement.bundles);
    return { s: 'created', m: placement.bundles.map(({ node }) => nodeIndex(node)) };
  });
  return [...wrong, ...againstInvariants(recorded, run.results)];
}

function againstInvariants(recorded: RecordedCase, results: Readonly<Record<string, Result>>): string[] {
  return recorded.ops.flatMap((op) => {
    const result = results[op.id];
    const seen = recorded.invariants[op.id];
    if (op.op !== 'create' || result === undefined || seen === undefined) return [];
    const status = result.s === 'created' ? 'created' : `pending:${result.why}`;
    if (seen.status.length === 1 && seen.status[0] !== status) return [`${op.id}: ${status}, Ray: ${seen.status[0]}`];
    const [multiset] = seen.bundle_multisets;
    if (multiset === undefined || seen.bundle_multisets.length > 1 || result.m === undefined) return [];
    const ours = multisetOf(op, result.m);
    const rays = canonical(multiset.map((node) => node.map((text) => JSON.parse(text) as Quantities)));
    return ours === rays ? [] : [`${op.id}: nodes hold ${ours}, Ray's held ${rays}`];
  });
}

function multisetOf(op: RecordedOp, nodes: readonly number[]): string {
  const byNode = new Map<number, Quantities[]>();
  for (const [index, bundle] of op.bundles.entries()) {
    const node = nodes[index] as number;
    byNode.set(node, [...(byNode.get(node) ?? []), bundle]);
  }
  return canonical([...byNode.values()]);
}

function canonical(nodes: readonly (readonly Quantities[])[]): string {
  const text = (bundle: Quantities): string =>
    JSON.stringify(Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1)));
  return JSON.stringify(nodes.map((bundles) => bundles.map(text).sort()).sort());
}

/** Where the oracle and what was recorded disagree, following what Ray did; empty: nowhere. */
export function judgeOracle(recorded: RecordedCase): string[] {
  return recorded.outcomes.flatMap(({ result, model }) => {
    const wrong: string[] = [];
    new Run(recorded, (self, op, after) => {
      const request = requestOf(op);
      const allowed = legal([...self.state.nodes()], request);
      const did = result[op.id] as Result;
      const mapped = after === null ? did.m : did.late_after === after ? did.late : undefined;
      const expected = mapped?.map(nodeName).join() ?? (did.why === 'INFEASIBLE' ? 'infeasible' : 'pending');
      // More than 16 bundles: Ray permutes equal ones, so only what each node holds can be told.
      const form = (outcome: string): string =>
        op.bundles.length > 16 && outcome.includes(',') ? multisetOf(op, outcome.split(',').map(nodeIndex)) : outcome;
      if (![...allowed].map(form).includes(form(expected))) wrong.push(`${op.id}: Ray did ${expected}`);
      const counted = model[op.id];
      const several =
        new Set(op.bundles.flatMap(Object.keys).filter((name) => !['GPU', 'CPU'].includes(name))).size > 1;
      if (after === null && counted !== undefined && !several && op.bundles.length <= 16) {
        const mappings = [...allowed].filter((outcome) => outcome !== 'pending' && outcome !== 'infeasible');
        if (mappings.length !== counted.n_legal) wrong.push(`${op.id}: ${mappings.length}, not ${counted.n_legal}`);
        const listed = counted.legal.map((mapping) => mapping.map(nodeName).join());
        wrong.push(
          ...listed.filter((mapping) => !allowed.has(mapping)).map((mapping) => `${op.id}: ${mapping} missing`),
        );
      }
      if (mapped !== undefined) self.seat(op, mapped);
      return mapped === undefined ? { s: 'pending', why: did.why ?? 'NO_RESOURCES' } : { s: 'created', m: mapped };
    });
    return wrong;
  });
}
