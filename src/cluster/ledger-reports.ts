/** What agents say, and what it means for the claims on their node. Messages may come twice, late or never. */
import type { LedgerClaims } from './ledger-claims.js';
import type { LedgerCore } from './ledger-core.js';
import type { Claim, NodeRecord } from './ledger-model.js';
import type { LedgerNodes } from './ledger-nodes.js';
import type { LedgerPlacing } from './ledger-placing.js';
import type { FromAgent, HeldReservation } from './types.js';

export class LedgerReports {
  readonly #core: LedgerCore;
  readonly #nodes: LedgerNodes;
  readonly #claims: LedgerClaims;
  readonly #placing: LedgerPlacing;
  readonly #renew: (node: NodeRecord) => void;

  /** @param renew prolong what is committed there */
  constructor(
    core: LedgerCore,
    nodes: LedgerNodes,
    claims: LedgerClaims,
    placing: LedgerPlacing,
    renew: (node: NodeRecord) => void,
  ) {
    this.#core = core;
    this.#nodes = nodes;
    this.#claims = claims;
    this.#placing = placing;
    this.#renew = renew;
  }

  /** One message of the agent of that node. */
  take(node: NodeRecord, message: FromAgent): void {
    if (message.t === 'alive') {
      this.#heartbeat(node, message);
      return;
    }
    const claim = node.claims.get(message.txn);
    if (claim === undefined) return; // settled long ago
    switch (message.t) {
      case 'prepared':
        this.#placing.prepared(claim);
        return;
      case 'refused':
        this.#placing.refused(claim, message.reason);
        return;
      case 'committed':
        if (claim.phase === 'committing') this.#claims.committed(claim);
        return;
      case 'lost':
        if (claim.phase === 'committing' || claim.phase === 'committed') {
          this.#placing.lost([claim], `${node.spec.id} lost it: ${message.reason}`);
          this.#claims.forget(claim);
        }
        return;
      case 'released':
        if (claim.phase === 'releasing') this.#released(claim);
    }
  }

  /** It joins, or joins again: what it holds now is what counts. Its unanswered messages may be lost with the old connection. */
  hello(node: NodeRecord, held: readonly HeldReservation[]): void {
    const listed = this.#compare(node, held);
    const missing = [...node.claims.values()].filter(({ txn }) => !listed.has(txn));
    const seated = missing.filter(({ phase }) => phase === 'committing' || phase === 'committed');
    for (const { group, phase } of missing) {
      if (phase === 'prepared' && group !== null) this.#placing.abandon(group, `${node.spec.id} came back without it`);
    }
    this.#placing.lost(seated, `${node.spec.id} came back without it`);
    // Should its agent have it after all, it hears that nobody wants it.
    for (const claim of seated) this.#claims.release(claim);
    this.#claims.resendTo(node);
  }

  #heartbeat(node: NodeRecord, { atMs, held }: FromAgent & { t: 'alive' }): void {
    const first = node.reportedAtMs === null;
    node.reportedAtMs = Math.max(node.reportedAtMs ?? atMs, atMs);
    // Its lease may be nearly over: the head before this one was the last to prolong it.
    if (first) this.#renew(node);
    const listed = this.#compare(node, held);
    for (const claim of node.claims.values()) {
      // The report may be older than the commit. Asked again, the agent says for certain.
      if (claim.phase === 'committed' && !listed.has(claim.txn)) this.#claims.commit(claim);
    }
    if (node.refusal === null) return;
    node.refusal.reported = true;
    this.endRefusal(node, this.#core.env.nowMs());
  }

  /** Let a node that refused take something new, if it has reported since and the time is over. */
  endRefusal(node: NodeRecord, nowMs: number): void {
    const { refusal } = node;
    if (refusal === null || !refusal.reported || nowMs < refusal.untilMs) return;
    this.#nodes.change(node, 'it has reported', () => {
      node.refusal = null;
    });
  }

  /** @returns the transactions that it holds */
  #compare(node: NodeRecord, held: readonly HeldReservation[]): Set<string> {
    const listed = new Set<string>();
    const strangers: string[] = [];
    for (const { txn, committed } of held) {
      listed.add(txn);
      const claim = node.claims.get(txn);
      if (claim === undefined) strangers.push(txn);
      else if (claim.phase === 'preparing') this.#placing.prepared(claim);
      else if (claim.phase === 'committing' && committed) this.#claims.committed(claim);
    }
    if (strangers.length > 0) {
      this.#nodes.change(node, 'it holds what nobody wants', () => {
        node.strangers += strangers.length;
        for (const txn of strangers) this.#claims.releaseStranger(node, txn);
      });
    }
    return listed;
  }

  #released(claim: Claim): void {
    const { group, node } = claim;
    this.#claims.forget(claim);
    // Only strangers have no group.
    if (group !== null) return;
    this.#nodes.change(node, 'it holds nothing unknown', () => {
      node.strangers -= 1;
    });
  }
}
