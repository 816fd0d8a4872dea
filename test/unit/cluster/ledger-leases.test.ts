import { describe, expect, it } from 'vitest';
import { foldJournal } from '../../../src/cluster/ledger-restore.js';
import { groupStatus, snapshotOf } from '../../../src/cluster/status-view.js';
import { affinityTo, gpus, groupOf, helloOf, LedgerKit, leaseOf } from './support.js';

const three = (): LedgerKit => new LedgerKit(['n0', 'n1', 'n2'].map((id) => helloOf(id, { total: { CPU: 4 } })));
const full = { bundles: [{ CPU: 4 }] };

describe('ledger: leases', () => {
  it('go where the rules of tasks say, not where those of groups do', () => {
    const kit = three();
    const node = (...spec: Parameters<typeof leaseOf>) => kit.state(kit.ledger.createGroup(leaseOf(...spec), 'me'));
    expect(kit.state(kit.ledger.createGroup(groupOf({ bundles: [{ CPU: 1 }] }), 'me'))).toMatch(/n0$/);
    expect(node({ preferred: 'n2' })).toBe('CREATED FINISHED n2');
    expect(node({ strategy: affinityTo('n1') })).toBe('CREATED FINISHED n1');
    expect([1, 2, 3, 4].map(() => node({ strategy: { kind: 'spread' } }).slice(-2))).toEqual(['n0', 'n1', 'n2', 'n0']);
  });

  it('draw by the chance of the environment', () => {
    const kit = three();
    const drawn = [0, 0.4, 0.99].map((chance) => {
      kit.chance = chance;
      return kit.state(kit.ledger.createGroup(leaseOf({}, { bundles: [{}] }), null));
    });
    expect(drawn).toEqual(['CREATED FINISHED n0', 'CREATED FINISHED n1', 'CREATED FINISHED n2']);
  });

  it('do not turn the round robin while they wait', () => {
    const kit = three();
    const spread = (CPU: number) =>
      kit.ledger.createGroup(leaseOf({ strategy: { kind: 'spread' } }, { bundles: [{ CPU }] }), 'me');
    const seated = [4, 4, 4].map(spread);
    const waiting = [1, 2].map(spread);
    expect(seated.map((id) => kit.state(id).slice(-2))).toEqual(['n0', 'n1', 'n2']);
    expect(waiting.map((id) => kit.ledger.group(id)?.attempts)).toEqual([1, 1]);
    kit.ledger.ownerGone('me');
    expect(kit.state(spread(1))).toBe('CREATED FINISHED n0');
  });

  it('ask selectors, then fallbacks in their order', () => {
    const kit = new LedgerKit(['a', 'b'].map((zone) => helloOf(zone, { labels: { zone } })));
    const lease = (zone: string, fallbacks: { zone: string }[] = []) =>
      kit.state(kit.ledger.createGroup(leaseOf({ fallbacks }, { selectors: [{ zone }] }), null));
    expect(lease('b')).toBe('CREATED FINISHED b');
    expect(lease('c', [{ zone: 'd' }, { zone: 'b' }])).toBe('CREATED FINISHED b');
    expect(lease('c')).toBe('PENDING INFEASIBLE -');
  });

  it('wait in the one queue, and each goes to the node that it prefers itself', () => {
    const kit = three();
    for (const node of ['n0', 'n1', 'n2']) kit.ledger.createGroup(leaseOf({ preferred: node }, full), 'them');
    kit.ledger.createGroup(groupOf({ bundles: gpus(4) }), 'me');
    const waiting = ['n1', 'n2'].map((preferred) => kit.ledger.createGroup(leaseOf({ preferred }), 'me'));
    const reason = 'no node that it may use has CPU 1 free now';
    const views = waiting.map((id) => kit.ledger.group(id));
    expect(views).toMatchObject([1, 2].map((position) => ({ scheduling: 'NO_RESOURCES', position, reason })));
    kit.ledger.ownerGone('them'); // all nodes are free before anybody is tried
    expect(waiting.map((id) => kit.state(id))).toEqual(['CREATED FINISHED n1', 'CREATED FINISHED n2']);
  });

  it('need no more than they hold, unless they say so', () => {
    const kit = new LedgerKit([helloOf('n0', { total: { CPU: 1 } })]);
    const actor = () => kit.ledger.createGroup(leaseOf({ needs: { CPU: 1 } }, { bundles: [{}] }), null);
    const [first, second] = [actor(), actor()];
    expect([first, second].map((id) => kit.state(id))).toEqual(['CREATED FINISHED n0', 'CREATED FINISHED n0']);
    expect(kit.ledger.status().free('n0')?.amounts.get('CPU')).toBe(10_000);
    const task = kit.ledger.createGroup(leaseOf(), null);
    const third = actor();
    expect(kit.state(third)).toBe('PENDING NO_RESOURCES -');
    kit.ledger.removeGroup(task);
    expect(kit.state(third)).toBe('CREATED FINISHED n0');
  });

  it('that hold nothing are reserved on their node, and are placed anew when it dies', () => {
    const kit = three();
    const id = kit.ledger.createGroup(leaseOf({ preferred: 'n0' }, { bundles: [{}], hold: 'stateful' }), 'me');
    expect(kit.state(id)).toBe('CREATED FINISHED n0');
    const held = (node: string) =>
      kit.agents
        .get(node)
        ?.table.held()
        .map(({ group }) => group);
    expect(held('n0')).toEqual([id]);
    kit.pass(3000);
    expect(held('n0')).toEqual([id]); // renewed like any other
    kit.ledger.nodeLeft('n0', 'it ended');
    expect(kit.state(id)).toBe('CREATED FINISHED n1');
    expect(held('n1')).toEqual([id]);
    kit.ledger.ownerGone('me');
    expect(held('n1')).toEqual([]);
    expect(kit.state(id)).toMatch(/^REMOVED REMOVED/);
  });
});

describe('ledger: leases that no node may take', () => {
  it('are removed at once, with the reason, and with a record that says it', () => {
    const kit = three();
    const id = kit.ledger.createGroup(leaseOf({ strategy: affinityTo('moon') }), 'me');
    const reason = 'node moon is not known, and the task may run nowhere else';
    expect(kit.ledger.group(id)).toMatchObject({ state: 'REMOVED', scheduling: 'UNSCHEDULABLE', reason, attempts: 1 });
    expect(kit.journal.at(-1)).toEqual({ r: 'removed', id, reason });
    expect(kit.events.at(-1)).toMatchObject({ e: 'group', id, scheduling: 'UNSCHEDULABLE', reason });
    kit.ledger.removeGroup(id);
    expect(kit.ledger.group(id)?.reason).toBe(reason);
  });

  it.each(['dies', 'is drained', 'does not come back'])('are removed when their node %s', (what) => {
    const kit = three();
    const strategy = affinityTo('n1');
    const seated = kit.ledger.createGroup(leaseOf({ strategy }, full), null);
    const waiting = [1, 2].map(() => kit.ledger.createGroup(leaseOf({ strategy }), null));
    expect(waiting.map((id) => kit.state(id))).toEqual(['PENDING NO_RESOURCES -', 'PENDING NO_RESOURCES -']);
    if (what === 'dies') kit.ledger.nodeLeft('n1', 'it ended');
    else if (what === 'is drained') kit.ledger.drainNode('n1');
    else {
      kit.agents.delete('n1');
      kit.pass(1600);
      expect(waiting.map((id) => kit.state(id))).toEqual(['PENDING NO_RESOURCES -', 'PENDING NO_RESOURCES -']);
      kit.pass(1000);
    }
    expect(waiting.map((id) => kit.state(id))).toEqual(['REMOVED UNSCHEDULABLE -', 'REMOVED UNSCHEDULABLE -']);
    expect(kit.state(seated)).toBe(what === 'is drained' ? 'CREATED FINISHED n1' : 'REMOVED UNSCHEDULABLE -');
  });

  it('fail on a busy node where they want to, and only there', () => {
    const kit = three();
    kit.ledger.createGroup(leaseOf({ strategy: affinityTo('n1') }, full), null);
    const strategy = affinityTo('n1', { failOnUnavailable: true });
    expect(kit.state(kit.ledger.createGroup(leaseOf({ strategy }), null))).toBe('REMOVED UNSCHEDULABLE -');
    const soft = affinityTo('n1', { soft: true, spillOnUnavailable: true });
    expect(kit.state(kit.ledger.createGroup(leaseOf({ strategy: soft }), null))).toBe('CREATED FINISHED n0');
  });

  it('wait for a node that is only silent, and for all nodes after a restart of the head', () => {
    const kit = three();
    const agents = new Map(kit.agents);
    kit.agents.clear();
    kit.pass(1600);
    const id = kit.ledger.createGroup(leaseOf({ strategy: affinityTo('n1') }), 'me');
    expect(kit.state(id)).toBe('PENDING NO_RESOURCES -');
    expect(kit.ledger.explain(id)[1]?.reason).toContain('silent for');
    kit.restart();
    expect(kit.state(id)).toBe('PENDING NO_RESOURCES -');
    for (const [node, agent] of agents) kit.agents.set(node, agent);
    kit.rejoin(helloOf('n1', { total: { CPU: 4 } }));
    expect(kit.state(id)).toBe('CREATED FINISHED n1');
  });
});

describe('ledger: leases after a restart of the head', () => {
  it('keep their node, also with nothing in hand, and their refusals', () => {
    const kit = three();
    const empty = kit.ledger.createGroup(leaseOf({ strategy: { kind: 'spread' } }, { bundles: [{}] }), 'me');
    const removed = kit.ledger.createGroup(leaseOf(), 'me');
    kit.ledger.removeGroup(removed);
    const refused = kit.ledger.createGroup(leaseOf({ strategy: affinityTo('moon') }), 'me');
    for (const compact of [false, true]) {
      const records = kit.ledger.snapshotRecords();
      expect(foldJournal(records)).toEqual(foldJournal(kit.journal));
      if (compact) kit.journal.splice(0, kit.journal.length, ...records);
      kit.restart();
      for (const id of ['n0', 'n1', 'n2']) kit.rejoin(helloOf(id, { total: { CPU: 4 } }));
      expect([empty, removed, refused].map((id) => kit.state(id))).toEqual([
        'CREATED FINISHED n0',
        'REMOVED REMOVED n0',
        'REMOVED UNSCHEDULABLE -',
      ]);
      expect(kit.ledger.group(refused)?.reason).toContain('moon');
    }
    expect(kit.agents.get('n0')?.table.held()).toMatchObject([{ group: empty, committed: true }]);
  });

  it('are told from the groups of a journal that knows no leases', () => {
    const kit = three();
    const ids = [groupOf({ bundles: [{ CPU: 1 }] }), groupOf()].map((spec) => kit.ledger.createGroup(spec, null));
    kit.ledger.removeGroup(ids[1] ?? '');
    for (const record of kit.journal) if (record.r === 'group') Reflect.deleteProperty(record.spec, 'task');
    kit.restart();
    expect(ids.map((id) => kit.ledger.group(id)?.spec.task)).toEqual([null, null]);
    expect([...kit.ledger.groups()].map(({ id }) => id)).toEqual(ids);
  });
});

describe('leases beside groups', () => {
  it('are another kind, and do not drive removed groups out of memory or sight', () => {
    const kit = new LedgerKit([helloOf('n0')]);
    const group = kit.ledger.createGroup(groupOf({ bundles: gpus(1) }), null);
    kit.ledger.removeGroup(group);
    for (let at = 0; at < 1100; at++) kit.ledger.removeGroup(kit.ledger.createGroup(leaseOf(), null));
    const living = kit.ledger.createGroup(leaseOf({ strategy: { kind: 'spread' } }), null);
    const { groups } = snapshotOf(kit.ledger, 'c');
    expect(groups.map(({ id, kind, strategy }) => [id, kind, strategy])).toEqual([
      [living, 'lease', 'spread'],
      [group, 'group', 'PACK'],
    ]);
    expect(groupStatus(kit.ledger, 'g1000')).toMatchObject({ kind: 'lease', state: 'REMOVED' });
    expect(groupStatus(kit.ledger, 'g2')).toBeNull();
    kit.restart();
    expect(groupStatus(kit.ledger, group)).toMatchObject({ kind: 'group', state: 'REMOVED' });
  });
});
