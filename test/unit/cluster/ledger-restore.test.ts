import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { foldJournal } from '../../../src/cluster/ledger-restore.js';
import type { LedgerRecord } from '../../../src/cluster/types.js';
import { gpus, groupOf, helloOf, LedgerKit } from './support.js';

const codeOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return null;
};

describe('ledger after a restart of its head', () => {
  it('keeps groups, seats, order and names, under a new epoch, and waits for its nodes', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    const created = kit.ledger.createGroup(groupOf({ name: 'a', bundles: gpus(3) }), 'me');
    const waiting = ['b', 'c'].map((name) => kit.ledger.createGroup(groupOf({ name, bundles: gpus(2) }), 'me'));
    kit.restart();
    expect(kit.ledger.epoch).toBe(2);
    expect(kit.journal.at(-1)).toEqual({ r: 'epoch', epoch: 2 });
    expect([...kit.ledger.nodes()].map(({ state }) => state)).toEqual(['unknown', 'unknown']);
    expect(kit.state(created)).toBe('CREATED FINISHED n0 n0 n1');
    expect(kit.ledger.findGroup('a', 'default')).toMatchObject({ id: created, owner: 'me' });
    expect(waiting.map((id) => kit.ledger.group(id)?.position)).toEqual([0, 1]);
    expect(kit.ledger.group(waiting[0] ?? '')?.scheduling).toBe('NO_RESOURCES');
    expect(kit.ledger.explain(waiting[0] ?? '')[0]?.reason).toContain('since the head was restarted');
    for (const id of ['n0', 'n1']) kit.rejoin(helloOf(id));
    kit.ledger.removeGroup(created);
    expect(waiting.map((id) => kit.state(id))).toEqual(['CREATED FINISHED n0 n0', 'CREATED FINISHED n1 n1']);
  });

  it('buries the nodes that do not join in time, and moves what was there', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    const id = kit.ledger.createGroup(groupOf({ bundles: gpus(3) }), null);
    kit.restart();
    kit.agents.delete('n1');
    kit.rejoin(helloOf('n0'));
    kit.pass(4900);
    expect(kit.state(id)).toBe('CREATED FINISHED n0 n0 n1');
    kit.pass(700);
    expect([...kit.ledger.nodes()].map(({ state }) => state)).toEqual(['alive', 'dead']);
    expect(kit.state(id)).toBe('RESCHEDULING NO_RESOURCES n0 n0 -');
  });

  it('commits what was decided, and places again what its agent has lost meanwhile', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const table = kit.agents.get('n0')?.table;
    kit.agents.clear();
    const id = kit.ledger.createGroup(groupOf(), null);
    const prepare = kit.sentTo('n0', 'prepare')[0];
    if (table === undefined || prepare === undefined) throw new Error('nothing was sent');
    table.apply({ epoch: 1, messages: [prepare] }, kit.nowMs);
    kit.say('n0', { t: 'prepared', txn: prepare.txn });
    expect(kit.state(id)).toBe('CREATED FINISHED n0'); // its commit is lost, and so is the head
    kit.restart();
    kit.agents.set('n0', { incarnation: 'n0-1', table });
    kit.rejoin(helloOf('n0'));
    expect(table.held()).toEqual([{ txn: prepare.txn, group: id, committed: true }]);
    kit.restart();
    table.apply({ epoch: 2, messages: [{ t: 'release', txn: prepare.txn }] }, kit.nowMs);
    kit.rejoin(helloOf('n0'));
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    expect(table.held()).toHaveLength(1);
    expect(table.held()[0]?.txn).not.toBe(prepare.txn);
  });

  it('has agents release what the head before had prepared or was removing', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const table = kit.agents.get('n0')?.table;
    if (table === undefined) throw new Error('no table');
    const removed = kit.ledger.createGroup(groupOf(), null);
    kit.agents.clear();
    kit.ledger.removeGroup(removed); // the release is lost
    kit.ledger.createGroup(groupOf(), null);
    const prepare = kit.sentTo('n0', 'prepare').at(-1);
    if (prepare === undefined) throw new Error('nothing was sent');
    table.apply({ epoch: 1, messages: [prepare] }, kit.nowMs);
    expect(table.held()).toHaveLength(2);
    kit.restart();
    kit.agents.set('n0', { incarnation: 'n0-1', table });
    kit.rejoin(helloOf('n0'));
    expect(table.held()).toEqual([{ txn: expect.stringContaining('g2.2.'), group: 'g2', committed: true }]);
    expect(kit.ledger.group(removed)?.state).toBe('REMOVED');
  });

  it('is said by a compact journal as by the long one', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1'), helloOf('n2')]);
    kit.ledger.createGroup(groupOf({ name: 'stays', bundles: gpus(4), lifetime: 'detached' }), null);
    const removed = kit.ledger.createGroup(groupOf(), 'me');
    kit.ledger.removeGroup(removed);
    kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), 'you');
    kit.ledger.ownerGone('you');
    kit.ledger.nodeLeft('n0', 'gone');
    kit.ledger.createGroup(groupOf({ bundles: [{ GPU: 9 }] }), 'me');
    const compact = kit.ledger.snapshotRecords();
    expect(foldJournal(compact)).toEqual(foldJournal(kit.journal));
    expect(compact.length).toBeLessThan(kit.journal.length);
    const before = [...kit.ledger.groups()].map(({ id, state, seats, position }) => ({ id, state, seats, position }));
    kit.journal.splice(0, kit.journal.length, ...compact);
    kit.restart();
    const after = [...kit.ledger.groups()].map(({ id, state, seats, position }) => ({ id, state, seats, position }));
    expect(after).toEqual(before);
  });

  /** What a restart from this journal says: `null`, or the error's code and message. */
  const restart = (journal: readonly unknown[]): string | null => {
    const kit = new LedgerKit([]);
    kit.journal.splice(0, kit.journal.length, ...(journal as LedgerRecord[]));
    try {
      kit.restart();
      return null;
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      return `${code}: ${message}`;
    }
  };

  it.each([
    ['null', null, /record 2: it is no record/],
    ['a number', 5, /record 2: it is no record/],
    ['text', 'epoch', /record 2: it is no record/],
    ['a list', [], /record 2: it is no record/],
    ['an empty object', {}, /record 2: it is no record/],
    ['a kind that is no text', { r: 1 }, /record 2: it is no record/],
    ['a kind of a later version', { r: 'lease', id: 'g' }, /record 2: this version knows no record "lease"; start the/],
    ['a name of every object', { r: 'toString' }, /knows no record "toString"/],
    ['an epoch without a number', { r: 'epoch' }, /record 2: its epoch is no whole number/],
    ['a node without facts', { r: 'node' }, /record 2: /],
    ['a node with half its facts', { r: 'node', hello: { id: 'n' } }, /says of node n what none can be/],
    ['a group without a spec', { r: 'group', id: 'g' }, /says of group g what none can be/],
    ['a group of no bundles', { r: 'group', id: 'g', spec: groupOf({ bundles: [] }) }, /group g .*one bundle or more/],
    ['seats of an unknown group', { r: 'seats', id: 'g', seats: [{}] }, /record 2: it speaks of group g/],
  ])('is damaged by %s instead of a record', (_what, record, words) => {
    const said = restart([{ r: 'epoch', epoch: 1 }, record]);
    expect(said).toMatch(words);
    expect(said).toMatch(/^JOURNAL_DAMAGED: the journal .*; restore it from a copy, or move it away/);
  });

  it('starts, or calls its journal damaged, whatever stands in the fields of a record', () => {
    const kit = new LedgerKit([helloOf('n0'), helloOf('n1')]);
    kit.ledger.createGroup(groupOf({ name: 'a', bundles: gpus(3) }), 'me');
    kit.ledger.removeGroup(kit.ledger.createGroup(groupOf(), null));
    kit.ledger.nodeLeft('n1', 'gone');
    kit.ledger.ownerGone('me');
    const paths = kit.journal.flatMap((record, at) => pathsOf(record).map((path) => [at, ...path]));
    const odd = fc.constantFrom<unknown>(undefined, null, true, -1, 0.5, '', 'x', [], {}, [null], [1, 2], { id: null });
    fc.assert(
      fc.property(fc.constantFrom(...paths), odd, (path, value) => {
        const journal = structuredClone(kit.journal);
        replace(journal, path, value);
        expect(restart(journal) ?? 'JOURNAL_DAMAGED').toMatch(/^JOURNAL_DAMAGED/);
      }),
      { numRuns: 500 },
    );
  });

  it('does not start from a journal that contradicts itself', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    kit.ledger.createGroup(groupOf({ bundles: gpus(2) }), null);
    const records = [...kit.journal];
    const restore = (journal: LedgerRecord[]): unknown =>
      codeOf(() => {
        kit.journal.splice(0, kit.journal.length, ...journal);
        kit.restart();
      });
    expect(restore(records)).toBeNull();
    expect(restore(records.filter(({ r }) => r !== 'node'))).toBe('JOURNAL_DAMAGED');
    expect(restore(records.filter(({ r }) => r !== 'group'))).toBe('JOURNAL_DAMAGED');
    const again = records.flatMap((record): LedgerRecord[] =>
      record.r === 'group' || record.r === 'seats' ? [{ ...record, id: 'twin' }] : [],
    );
    expect(restore([...records, ...again])).toBe('JOURNAL_DAMAGED');
  });
});

type Path = readonly (string | number)[];

/** Ways to everything inside a value. */
function pathsOf(value: unknown): Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[key], ...pathsOf(inner).map((rest) => [key, ...rest])]);
}

function replace(root: unknown, path: Path, value: unknown): void {
  let at = root as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string | number, unknown>;
  at[path.at(-1) ?? ''] = value;
}
