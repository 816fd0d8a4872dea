import { describe, expect, it } from 'vitest';
import type { GroupStatus } from '../../../src/cluster/api.js';
import { LedgerCluster } from '../../../src/cluster/ledger-cluster.js';
import { affinityTo, gpus, groupOf, helloOf, LedgerKit, leaseOf } from './support.js';

function setUp() {
  const kit = new LedgerKit();
  const { ledger } = kit;
  const cluster = new LedgerCluster({
    core: { state: ledger, enter: (act) => act(ledger) },
    cluster: 'c',
    owner: 'me',
  });
  /** What the journal has by now. */
  const tell = (): void => cluster.heard(kit.events.splice(0));
  return { kit, cluster, tell };
}

describe('ledger cluster', () => {
  it('makes groups that end with this process, and others that do not', async () => {
    const { kit, cluster } = setUp();
    kit.join(helloOf('n0'));
    const mine = await cluster.createGroup(groupOf());
    const stays = await cluster.createGroup(groupOf({ name: 'x', lifetime: 'detached' }));
    expect([mine.status.owner, stays.status.owner]).toEqual(['me', null]);
    expect((await cluster.snapshot()).groups.map(({ id }) => id)).toEqual([mine.id, stays.id]);
  });

  it('finds groups by id and name, whoever made them, until they are removed', async () => {
    const { kit, cluster, tell } = setUp();
    kit.join(helloOf('n0'));
    const mine = await cluster.createGroup(groupOf({ name: 'x' }));
    const other = kit.ledger.createGroup(groupOf({ name: 'y' }), 'another');
    expect(cluster.groupOf(mine.id)).toBe(mine);
    expect(cluster.groupOf(other)?.status.owner).toBe('another');
    expect(cluster.groupNamed('y', 'default')).toBe(cluster.groupOf(other));
    expect([cluster.groupOf('none'), cluster.groupNamed('z', 'default')]).toEqual([null, null]);
    await cluster.groupOf(other)?.remove();
    tell();
    expect([cluster.groupOf(other), cluster.groupNamed('y', 'default')]).toEqual([null, null]);
  });

  it('tells who waits when it hears, and once who listens', async () => {
    const { kit, cluster, tell } = setUp();
    kit.join(helloOf('n0'));
    const first = await cluster.createGroup(groupOf({ bundles: gpus(2) }));
    const second = await cluster.createGroup(groupOf());
    const states: string[] = [];
    second.onChange(({ state }) => states.push(state));
    const ready = second.ready();
    tell();
    await first.remove();
    await first.remove();
    tell();
    expect((await ready).state).toBe('CREATED');
    await second.remove();
    tell();
    expect(states.at(-1)).toBe('REMOVED');
    await expect(second.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
  });

  it('knows at once a lease that no node may take', async () => {
    const { kit, cluster } = setUp();
    kit.join(helloOf('n0'));
    const lease = await cluster.createGroup(leaseOf({ strategy: affinityTo('nowhere') }));
    await expect(lease.ready()).rejects.toMatchObject({ code: 'TASK_UNSCHEDULABLE' });
  });

  it('tells who waits for a lease that was removed and forgotten before the journal had it', async () => {
    const { kit, cluster, tell } = setUp();
    kit.join(helloOf('n0'));
    const lease = await cluster.createGroup(leaseOf({}, { bundles: [{ GPU: 3 }] }));
    const heard: GroupStatus[] = [];
    lease.onChange((status) => heard.push(status));
    const waiting = expect(lease.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
    await lease.remove();
    for (let others = 0; kit.ledger.group(lease.id) !== null; others++) {
      expect(others).toBeLessThan(100_000);
      kit.ledger.removeGroup(kit.ledger.createGroup(leaseOf(), 'other'));
    }
    tell();
    await waiting;
    expect([heard.at(-1)?.state, lease.status.state, await lease.explain()]).toEqual(['REMOVED', 'REMOVED', []]);
    await lease.remove();
  });

  it('removes what it made at its end', async () => {
    const { kit, cluster } = setUp();
    kit.join(helloOf('n0'));
    const group = await cluster.createGroup(groupOf());
    await cluster[Symbol.asyncDispose]();
    expect(kit.ledger.group(group.id)?.state).toBe('REMOVED');
    expect(cluster.connected).toBe(true);
  });
});
