/** The nodes of a ledger: who is there, who is silent, who may take something new. Knows nothing of groups. */
import type { LedgerCore } from './ledger-core.js';
import type { NodeFacts, NodeRecord } from './ledger-model.js';
import { RecentMap } from './recent-map.js';
import type { ClusterNode, NodeState } from './types.js';
import { helloToSpec } from './wire.js';

/** Dead nodes that are remembered. */
const DEAD_REMEMBERED = 1000;

export class LedgerNodes {
  /** Grows when a node becomes schedulable. */
  joins = 0;
  readonly #core: LedgerCore;
  readonly #living = new Map<string, NodeRecord>();
  readonly #dead = new RecentMap<string, NodeRecord>(DEAD_REMEMBERED);
  readonly #refusing = new Set<NodeRecord>();
  /** Living nodes that take nothing new now but may again. */
  #resting = 0;

  constructor(core: LedgerCore) {
    this.#core = core;
  }

  /** Living ones only. */
  get(id: string): NodeRecord | null {
    return this.#living.get(id) ?? null;
  }

  /** Living ones, in joining order. */
  living(): IterableIterator<NodeRecord> {
    return this.#living.values();
  }

  get size(): number {
    return this.#living.size;
  }

  /** Whether some node is silent, not heard of yet or to be reconciled: it takes nothing now but may again. */
  get someRest(): boolean {
    return this.#resting > 0;
  }

  /** Not schedulable yet: see {@link settle}. */
  add(facts: NodeFacts, state: 'alive' | 'unknown'): NodeRecord {
    const spec = helloToSpec(facts);
    const heardAtMs = this.#core.env.nowMs();
    const node: NodeRecord = {
      facts,
      spec,
      state,
      draining: false,
      heardAtMs,
      reportedAtMs: null,
      claims: new Map(),
      strangers: 0,
      refusal: null,
    };
    this.#core.state.addNode(spec, false);
    this.#living.set(facts.id, node);
    this.#resting += 1;
    return node;
  }

  /** Its claims must have been dropped. */
  bury(node: NodeRecord, why: string): void {
    if (isResting(node, this.#core.state.node(node.spec.id)?.schedulable ?? false)) this.#resting -= 1;
    node.state = 'dead';
    this.#refusing.delete(node);
    this.#living.delete(node.spec.id);
    this.#dead.set(node.spec.id, node);
    this.#core.state.removeNode(node.spec.id);
    this.#core.append({ r: 'node-gone', id: node.spec.id });
    this.#announce(node, why);
  }

  /** Change what decides whether the node takes something new, then decide. */
  change(node: NodeRecord, why: string, change: () => void): void {
    const before = stateOf(node);
    const { state } = this.#core;
    const { id } = node.spec;
    const was = state.node(id)?.schedulable ?? false;
    const rested = isResting(node, was);
    change();
    const is = node.state === 'alive' && !node.draining && node.strangers === 0 && node.refusal === null;
    this.#resting += Number(isResting(node, is)) - Number(rested);
    if (node.refusal === null) this.#refusing.delete(node);
    else this.#refusing.add(node);
    if (is !== was) {
      state.setSchedulable(id, is);
      if (is) this.joins += 1;
      this.#core.touch();
    }
    if (stateOf(node) !== before) this.#announce(node, why);
  }

  /** A node that was added takes work from now on. */
  open(node: NodeRecord): void {
    this.change(node, 'it joined', () => {});
    this.#announce(node, 'it joined');
  }

  /** Those that take nothing new because they refused something. */
  refusing(): ReadonlySet<NodeRecord> {
    return this.#refusing;
  }

  /** Living and remembered dead ones. */
  *views(): Iterable<ClusterNode> {
    for (const node of this.#living.values()) yield this.#view(node);
    for (const node of this.#dead.values()) if (!this.#living.has(node.spec.id)) yield this.#view(node);
  }

  /** Also dead ones. */
  view(id: string): ClusterNode | null {
    const node = this.#living.get(id) ?? this.#dead.get(id);
    return node === undefined ? null : this.#view(node);
  }

  #view(node: NodeRecord): ClusterNode {
    const { name, address, incarnation, version, pid } = node.facts;
    const silentMs = Math.max(0, this.#core.env.nowMs() - node.heardAtMs);
    return { spec: node.spec, name, address, incarnation, state: stateOf(node), silentMs, version, pid };
  }

  #announce(node: NodeRecord, why: string): void {
    this.#core.event({ e: 'node', id: node.spec.id, state: stateOf(node), why });
  }
}

/** In one word: what is worst. */
export function stateOf({ state, draining }: NodeRecord): NodeState {
  return state === 'alive' && draining ? 'draining' : state;
}

function isResting(node: NodeRecord, schedulable: boolean): boolean {
  return !schedulable && !node.draining && node.state !== 'dead';
}
