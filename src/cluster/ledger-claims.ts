/**
 * The head's side of reservations: what is taken where, in which phase, and which messages have no answer yet. What is taken comes back
 * only when an agent has said so, or with the end of its node.
 */

import type { GroupMachine } from './group-machine.js';
import type { LedgerCore } from './ledger-core.js';
import type { Claim, ClaimPiece, NodeRecord, WirePiece } from './ledger-model.js';
import { mergeGrants } from './merge-grants.js';
import { grantToWire } from './wire.js';

export class LedgerClaims {
  /** Grows when something was given back. */
  returned = 0;
  readonly #core: LedgerCore;
  /** Claims whose message has no answer yet, the one that was sent first first. */
  readonly #unanswered = new Set<Claim>();

  constructor(core: LedgerCore) {
    this.#core = core;
  }

  /** When the next message is to be sent again; null: all are answered. */
  get nextResendMs(): number | null {
    const [first] = this.#unanswered;
    return first === undefined ? null : first.sentAtMs + this.#core.timers.resendMs;
  }

  /** Take what a plan says and ask the node to reserve it. */
  prepare(group: GroupMachine, txn: string, node: NodeRecord, pieces: readonly ClaimPiece[]): Claim {
    const claim = this.#take(group, txn, node, pieces, 'preparing');
    claim.wire = pieces.map(({ bundle, grant }) => ({ bundle, grant: grantToWire(grant) }));
    this.#send(claim);
    return claim;
  }

  /** Take what the journal says. The node is asked when it joins. */
  restore(group: GroupMachine, txn: string, node: NodeRecord, pieces: readonly ClaimPiece[]): Claim {
    return this.#take(group, txn, node, pieces, 'committing');
  }

  /** The agent has reserved it. */
  prepared(claim: Claim): void {
    claim.phase = 'prepared';
    this.#unanswered.delete(claim);
  }

  /** The group's seats are journaled: say so until the agent has heard. Also asks again whether a committed one is still there. */
  commit(claim: Claim): void {
    claim.phase = 'committing';
    claim.wire = null;
    this.#send(claim);
  }

  committed(claim: Claim): void {
    claim.phase = 'committed';
    this.#unanswered.delete(claim);
  }

  /** The group no longer wants it: say so until the agent has heard. */
  release(claim: Claim): void {
    if (claim.phase === 'releasing') return;
    claim.group?.claims.delete(claim);
    claim.phase = 'releasing';
    claim.wire = null;
    this.#send(claim);
  }

  /** An agent holds what nobody here knows: have it released. */
  releaseStranger(node: NodeRecord, txn: string): void {
    const nothing = mergeGrants([]);
    const claim: Claim = {
      txn,
      node,
      group: null,
      pieces: [],
      sum: nothing,
      phase: 'releasing',
      wire: null,
      sentAtMs: 0,
    };
    node.claims.set(txn, claim);
    this.#send(claim);
  }

  /** Nothing is held there any more: what it took is free. */
  forget(claim: Claim): void {
    this.drop(claim);
    if (claim.pieces.length > 0) this.#core.state.giveBack(claim.node.spec.id, claim.sum);
    this.returned += 1;
    this.#core.touch();
  }

  /** As {@link forget}, for a node that is gone with all it had. */
  drop(claim: Claim): void {
    claim.group?.claims.delete(claim);
    claim.node.claims.delete(claim.txn);
    this.#unanswered.delete(claim);
  }

  /** Send again what was sent by `sentBy` and has no answer. */
  resend(sentBy: number): void {
    for (const claim of [...this.#unanswered]) {
      if (claim.sentAtMs > sentBy) return;
      this.#send(claim);
    }
  }

  /** Send again what this node has not answered: it has just joined. */
  resendTo(node: NodeRecord): void {
    for (const claim of node.claims.values()) {
      if (claim.phase !== 'prepared' && claim.phase !== 'committed') this.#send(claim);
    }
  }

  #take(
    group: GroupMachine,
    txn: string,
    node: NodeRecord,
    pieces: readonly ClaimPiece[],
    phase: 'preparing' | 'committing',
  ): Claim {
    const sum = mergeGrants(pieces);
    if (!this.#core.state.claim(node.spec.id, sum)) {
      throw new Error(`group ${group.id} was planned on ${node.spec.id} where it is not free`);
    }
    const claim: Claim = { txn, node, group, pieces, sum, phase, wire: null, sentAtMs: 0 };
    node.claims.set(txn, claim);
    group.claims.add(claim);
    return claim;
  }

  #send(claim: Claim): void {
    claim.sentAtMs = this.#core.env.nowMs();
    this.#unanswered.delete(claim);
    this.#unanswered.add(claim);
    const { txn, phase, wire, group } = claim;
    const { id } = claim.node.spec;
    if (phase === 'releasing') this.#core.post(id, { t: 'release', txn });
    else if (phase === 'preparing' && wire !== null && group !== null)
      this.#core.post(id, this.#prepareOf(group, txn, wire));
    else this.#core.post(id, { t: 'commit', txn });
  }

  #prepareOf(group: GroupMachine, txn: string, pieces: readonly WirePiece[]) {
    const { prepareTtlMs } = this.#core.timers;
    return { t: 'prepare', txn, group: group.id, hold: group.spec.hold, pieces, ttlMs: prepareTtlMs } as const;
  }
}
