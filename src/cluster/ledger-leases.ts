/** Where a lease goes: Ray's rules for tasks, with the chance and the round robin that they need. Takes nothing. */
import { take } from '../scheduler/free.js';
import { describeTask } from '../scheduler/task-candidates.js';
import { placeTask } from '../scheduler/tasks.js';
import type { Grant, PlacedBundle } from '../scheduler/types.js';
import type { LedgerCore } from './ledger-core.js';
import type { LedgerNodes } from './ledger-nodes.js';
import type { LeaseRequest } from './request-shape.js';

/** `refused`: its strategy allows no node, now or later. */
export type LeasePlacement =
  | { readonly outcome: 'placed'; readonly bundles: readonly PlacedBundle[] }
  | { readonly outcome: 'pending' | 'infeasible' | 'refused'; readonly reason: string };

export class LedgerLeases {
  readonly #core: LedgerCore;
  readonly #nodes: LedgerNodes;
  /** Of the SPREAD round robin over all leases. Not journaled: where it begins does not matter. */
  #cursor = 0;

  constructor(core: LedgerCore, nodes: LedgerNodes) {
    this.#core = core;
    this.#nodes = nodes;
  }

  place(request: LeaseRequest): LeasePlacement {
    const { env, state } = this.#core;
    const placement = placeTask(state, request, { random: env.random(), cursor: this.#cursor });
    if (placement.outcome === 'placed') {
      // Who only waits must not turn the round robin, however often it is tried.
      this.#cursor = placement.cursor;
      const { node } = placement;
      return { outcome: 'placed', bundles: [{ index: 0, node, grant: this.#held(request, node, placement.grant) }] };
    }
    const { outcome, reason } = placement;
    const bound = request.strategy.kind === 'node-affinity';
    if (outcome === 'refused' && this.#mayReturn(placement.node)) return { outcome: 'pending', reason };
    // Unlike a task of Ray it waits for any node. The same words each time, or every try would be news.
    if (outcome === 'pending' && !bound) {
      return { outcome, reason: `no node that it may use has ${describeTask(request)} free now` };
    }
    return { outcome, reason };
  }

  /** What it keeps of what must be free for it. */
  #held({ held, resources }: LeaseRequest, node: string, whole: Grant): Grant {
    if (held === resources) return whole;
    const view = this.#core.state.node(node);
    const taken = view === null ? null : take(view.free, held);
    if (taken === null) throw new Error(`${node} has more free for a lease, but not what it holds`);
    return taken.grant;
  }

  /** Silent, not heard of since the head started, or to be reconciled: the node takes nothing now but may again. */
  #mayReturn(id: string | null): boolean {
    const node = id === null ? null : this.#nodes.get(id);
    return node !== null && !node.draining && this.#core.state.node(node.spec.id)?.schedulable === false;
  }
}
