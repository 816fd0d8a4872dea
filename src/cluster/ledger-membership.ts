/** Nodes come, come back and go, and what that means for what is claimed there. */
import type { LedgerClaims } from './ledger-claims.js';
import type { LedgerCore } from './ledger-core.js';
import type { NodeFacts, NodeRecord } from './ledger-model.js';
import type { LedgerNodes } from './ledger-nodes.js';
import type { LedgerPlacing } from './ledger-placing.js';
import type { LedgerReports } from './ledger-reports.js';
import type { HeldReservation, NodeHello } from './types.js';

export interface MembershipParts {
  readonly core: LedgerCore;
  readonly nodes: LedgerNodes;
  readonly claims: LedgerClaims;
  readonly placing: LedgerPlacing;
  readonly reports: LedgerReports;
}

export class LedgerMembership {
  readonly #parts: MembershipParts;

  constructor(parts: MembershipParts) {
    this.#parts = parts;
  }

  /** @throws `PLACEMENT_INVALID` */
  hello({ held, ...facts }: NodeHello): NodeRecord {
    const known = this.#parts.nodes.get(facts.id);
    if (known !== null && known.facts.incarnation === facts.incarnation) {
      this.#rejoin(known, held);
      return known;
    }
    if (known !== null) this.die(known, 'its agent was started anew');
    return this.#join(facts, held);
  }

  /** What was there is lost. */
  die(node: NodeRecord, why: string): void {
    const { nodes, claims, placing } = this.#parts;
    const reason = `${node.spec.id} is gone: ${why}`;
    const there = [...node.claims.values()];
    for (const { group, phase } of there) {
      if ((phase === 'preparing' || phase === 'prepared') && group !== null) placing.abandon(group, reason);
    }
    placing.lost(
      there.filter(({ phase }) => phase === 'committing' || phase === 'committed'),
      reason,
    );
    for (const claim of there) claims.drop(claim);
    nodes.bury(node, why);
    placing.departed();
  }

  /** Nothing new is placed there; what is there stays. */
  drain(node: NodeRecord): void {
    this.#parts.nodes.change(node, 'it is drained', () => {
      node.draining = true;
    });
    this.#parts.placing.departed();
  }

  #join(facts: NodeFacts, held: readonly HeldReservation[]): NodeRecord {
    const { core, nodes, reports } = this.#parts;
    const node = nodes.add(facts, 'alive');
    core.append({ r: 'node', hello: facts });
    reports.hello(node, held);
    nodes.open(node);
    return node;
  }

  #rejoin(node: NodeRecord, held: readonly HeldReservation[]): void {
    const { core, nodes, reports } = this.#parts;
    node.heardAtMs = core.env.nowMs();
    // First what it holds, or it would be given something that it has no room for.
    reports.hello(node, held);
    nodes.change(node, 'it joined again', () => {
      node.state = 'alive';
      node.refusal = null;
    });
  }
}
