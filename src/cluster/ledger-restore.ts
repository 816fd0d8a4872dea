/** Journal → what the ledger knew, and what it knows → the shortest journal that says so. Pure. */
import { TwinkleError } from '../errors.js';
import type { GroupMachine } from './group-machine.js';
import type { NodeFacts, NodeRecord } from './ledger-model.js';
import { RecentMap } from './recent-map.js';
import type { BundleSeat, GroupSpec, LedgerRecord } from './types.js';
import { grantFromWire, grantToWire } from './wire.js';

/** Removed groups that are remembered. */
export const REMOVED_REMEMBERED = 1000;

/** A group of a journal. */
export interface FoldedGroup {
  readonly id: string;
  readonly spec: GroupSpec;
  readonly owner: string | null;
  readonly createdAt: number;
  /** Bundle → seat; a bundle that is missing has none. */
  readonly seats: Map<number, BundleSeat>;
  /** It had bundles once that it lost. */
  rescheduling: boolean;
  /** Why its strategy allowed no node, where it was removed for that. */
  refusal: string | null;
}

/** All that a journal says. */
export interface FoldedJournal {
  /** Of the last head; 0: there was none. */
  epoch: number;
  /** In joining order. */
  readonly nodes: Map<string, NodeFacts>;
  /** In the order of creation. */
  readonly groups: Map<string, FoldedGroup>;
  /** In the order of removal, the last {@link REMOVED_REMEMBERED}. */
  readonly removed: RecentMap<string, FoldedGroup>;
  /** The same of leases: they are many, and must not drive groups out of memory. */
  readonly removedLeases: RecentMap<string, FoldedGroup>;
}

/**
 * Fold the records, in order. A kind of record that this version does not know is not passed over: it may say who holds what.
 * @throws `JOURNAL_DAMAGED`: what is no record, or fits to none before it
 */
export function foldJournal(records: Iterable<LedgerRecord>): FoldedJournal {
  const journal: FoldedJournal = {
    epoch: 0,
    nodes: new Map(),
    groups: new Map(),
    removed: new RecentMap(REMOVED_REMEMBERED),
    removedLeases: new RecentMap(REMOVED_REMEMBERED),
  };
  let position = 0;
  for (const record of records) {
    position += 1;
    try {
      if (typeof record?.r !== 'string') throw new Error('it is no record of a ledger');
      fold(journal, record);
    } catch (error) {
      throw journalDamaged(`cannot be read at record ${position}: ${(error as Error).message}`, error);
    }
  }
  return journal;
}

/** @param what continues "the journal …" */
export function journalDamaged(what: string, cause?: unknown): TwinkleError {
  const advice = 'restore it from a copy, or move it away to begin with nothing';
  return new TwinkleError('JOURNAL_DAMAGED', `the journal ${what}; ${advice}`, { cause });
}

function fold(journal: FoldedJournal, record: LedgerRecord): void {
  const { nodes, groups } = journal;
  switch (record.r) {
    case 'epoch':
      if (!Number.isSafeInteger(record.epoch)) throw new Error('its epoch is no whole number');
      journal.epoch = Math.max(journal.epoch, record.epoch);
      return;
    case 'node':
      nodes.delete(record.hello.id);
      nodes.set(record.hello.id, record.hello);
      return;
    case 'node-gone':
      nodes.delete(record.id);
      return;
    case 'group': {
      const { id, spec, owner, createdAt } = record;
      groups.set(id, { id, spec, owner, createdAt, seats: new Map(), rescheduling: false, refusal: null });
      return;
    }
    case 'seats':
      for (const { bundle, node, txn, grant } of record.seats) {
        groupOf(journal, record.id).seats.set(bundle, { node, txn, grant: grantFromWire(grant) });
      }
      groupOf(journal, record.id).rescheduling = false;
      return;
    case 'lost': {
      const group = groupOf(journal, record.id);
      for (const bundle of record.bundles) group.seats.delete(bundle);
      group.rescheduling = true;
      return;
    }
    case 'owner-gone':
      for (const group of [...groups.values()]) if (group.owner === record.owner) remove(journal, group, null);
      return;
    case 'removed':
      remove(journal, groupOf(journal, record.id), typeof record.reason === 'string' ? record.reason : null);
      return;
    default: {
      const { r } = record satisfies never as { readonly r: string };
      throw new Error(`this version knows no record "${r.slice(0, 40)}"; start the version that wrote it`);
    }
  }
}

function remove(journal: FoldedJournal, group: FoldedGroup, refusal: string | null): void {
  group.rescheduling = false;
  group.refusal = refusal;
  journal.groups.delete(group.id);
  // A journal of before leases has no such field.
  const { task = null } = group.spec;
  (task === null ? journal.removed : journal.removedLeases).set(group.id, group);
}

function groupOf(journal: FoldedJournal, id: string): FoldedGroup {
  const group = journal.groups.get(id);
  if (group === undefined) throw new Error(`it speaks of group ${id}, which was not introduced`);
  return group;
}

/** What {@link compactRecords} writes down. */
export interface Books {
  readonly epoch: number;
  readonly nodes: Iterable<NodeRecord>;
  /** In the order of creation. */
  readonly groups: Iterable<GroupMachine>;
  /** Groups and leases, each in the order of removal. */
  readonly removed: Iterable<GroupMachine>;
}

/** A journal without history: folded, it gives the same as the one that led here. */
export function compactRecords({ epoch, nodes, groups, removed }: Books): LedgerRecord[] {
  const records: LedgerRecord[] = [{ r: 'epoch', epoch }];
  for (const { facts } of nodes) records.push({ r: 'node', hello: facts });
  for (const group of removed) {
    introduce(group, records);
    records.push(removedRecord(group.id, group.refusal));
  }
  for (const group of groups) {
    introduce(group, records);
    if (group.state === 'RESCHEDULING') records.push({ r: 'lost', id: group.id, bundles: group.missing() });
  }
  return records;
}

/** @param refusal why its strategy allowed no node; null: somebody removed it */
export function removedRecord(id: string, refusal: string | null): LedgerRecord {
  return { r: 'removed', id, ...(refusal === null ? {} : { reason: refusal }) };
}

function introduce(group: GroupMachine, records: LedgerRecord[]): void {
  const { id, spec, owner, createdAt } = group;
  records.push({ r: 'group', id, spec, owner, createdAt });
  const seats = group.seats.flatMap((seat, bundle) =>
    seat === null ? [] : [{ bundle, node: seat.node, txn: seat.txn, grant: grantToWire(seat.grant) }],
  );
  if (seats.length > 0) records.push({ r: 'seats', id, seats });
}
