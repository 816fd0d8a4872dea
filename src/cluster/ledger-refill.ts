/** Puts what a journal said back into the parts of a new ledger. */
import { GroupMachine } from './group-machine.js';
import type { LedgerClaims } from './ledger-claims.js';
import type { LedgerGroups } from './ledger-groups.js';
import type { ClaimPiece } from './ledger-model.js';
import type { LedgerNodes } from './ledger-nodes.js';
import type { LedgerPlacing } from './ledger-placing.js';
import { type FoldedGroup, type FoldedJournal, journalDamaged } from './ledger-restore.js';

export interface RefilledParts {
  readonly nodes: LedgerNodes;
  readonly groups: LedgerGroups;
  readonly claims: LedgerClaims;
  readonly placing: LedgerPlacing;
}

/**
 * Nodes come back as `unknown`, with what is claimed there; groups that lack bundles wait again.
 * @throws `JOURNAL_DAMAGED`: what describes no node or group, seats on a node that is not there, or two on one device
 */
export function refill(parts: RefilledParts, journal: FoldedJournal): void {
  const { nodes, groups, placing } = parts;
  for (const [id, facts] of journal.nodes) said(`node ${id}`, () => nodes.add(facts, 'unknown'));
  for (const folded of [...journal.removed.values(), ...journal.removedLeases.values()]) {
    const group = regroup(groups, folded);
    groups.add(group);
    group.remove(folded.refusal);
    groups.retire(group);
  }
  for (const folded of journal.groups.values()) {
    const group = regroup(groups, folded);
    groups.add(group);
    reclaim(parts, group);
    const missing = group.missing();
    if (missing.length === 0) continue;
    // Seats are given all at once: where some are missing, they were lost.
    if (folded.rescheduling || missing.length < group.seats.length) group.lose(missing, 'its seats were lost');
    placing.wait(group);
  }
}

function regroup(groups: LedgerGroups, { id, spec, owner, createdAt, seats }: FoldedGroup): GroupMachine {
  return said(`group ${id}`, () => {
    // A journal of before leases has no such field.
    const { task = null } = spec;
    const identity = { id, spec: { ...spec, task }, owner, createdAt, sequence: groups.nextSequence() };
    const group = new GroupMachine(identity);
    group.seat(seats);
    return group;
  });
}

/** Make something of what the journal says. */
function said<T>(of: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw journalDamaged(`says of ${of} what none can be: ${(error as Error).message}`, error);
  }
}

function reclaim({ nodes, claims }: RefilledParts, group: GroupMachine): void {
  const byTxn = new Map<string, { readonly node: string; readonly pieces: ClaimPiece[] }>();
  for (const [bundle, seat] of group.seats.entries()) {
    if (seat === null) continue;
    const { node, txn, grant } = seat;
    const claim = byTxn.get(txn) ?? { node, pieces: [] };
    byTxn.set(txn, claim);
    claim.pieces.push({ bundle, grant });
  }
  for (const [txn, { node, pieces }] of byTxn) {
    const record = nodes.get(node);
    if (record === null) throw contradiction(`group ${group.id} has seats on ${node}, which is not in it`);
    try {
      claims.restore(group, txn, record, pieces);
    } catch (error) {
      throw contradiction(`group ${group.id} has seats on ${node} that are not free there`, error);
    }
  }
}

function contradiction(what: string, cause?: unknown): Error {
  return journalDamaged(`contradicts itself: ${what}`, cause);
}
