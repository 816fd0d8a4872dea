import { describe, expect, it } from 'vitest';
import { Seats } from '../../../src/actors/seats.js';
import { groupSpec } from '../../../src/cluster/group-spec.js';
import { LedgerCluster } from '../../../src/cluster/ledger-cluster.js';
import type { Demand } from '../../../src/protocol/work.js';
import { gpus, helloOf, LedgerKit } from '../cluster/support.js';
import { demandOf } from './played-client.js';

const never = new AbortController().signal;
const nothing = (): void => {};

/** A service on n0; n1 is larger, and nobody can start a worker there. */
function setUp() {
  const kit = new LedgerKit([
    helloOf('n0', { total: { CPU: 2, GPU: 1 } }),
    helloOf('n1', { total: { CPU: 8, GPU: 4 }, labels: { zone: 'far' } }),
  ]);
  const { ledger } = kit;
  const core = { state: ledger, enter: <T>(act: (of: typeof ledger) => T): T => act(ledger) };
  const cluster = new LedgerCluster({ core, cluster: 'c', owner: 'me' });
  const seats = new Seats({ groups: cluster, node: 'n0', indexOf: () => '0', mayMask: () => true });
  const tell = (): void => cluster.heard(kit.events.splice(0));
  const ask = async (cpus: number, more: Partial<Demand> = {}) => {
    const place = await seats.ask(demandOf({ CPU: cpus }, more), null);
    tell();
    return place;
  };
  return { kit, cluster, ask, tell };
}

describe('seats in a cluster of two nodes', () => {
  it.each(['default', 'spread'])(
    'are on the node of the service (%s), and wait for it though another is free',
    async (strategy) => {
      const { ask, tell } = setUp();
      const places = [await ask(1, { strategy }), await ask(1, { strategy }), await ask(1, { strategy })];
      const [first, second, third] = places.map((place) => place.ready(never, nothing));
      expect([(await first)?.node, (await second)?.node]).toEqual(['n0', 'n0']);
      expect(places[2]?.reason).toMatch(/CPU 1/);
      places[0]?.release();
      tell();
      expect((await third)?.node).toBe('n0');
    },
  );

  it('wait with a reason for what only another node has', async () => {
    const { ask } = setUp();
    const withdrawn = new AbortController();
    const place = await ask(4);
    const ready = place.ready(withdrawn.signal, nothing);
    expect(place.reason).not.toBeNull();
    withdrawn.abort(new Error('enough'));
    await expect(ready).rejects.toThrow('enough');
  });

  it('are on the node of the service when another was only preferred', async () => {
    const { ask } = setUp();
    const place = await ask(1, { strategy: 'node', node: 'n1', soft: true });
    expect((await place.ready(never, nothing)).node).toBe('n0');
  });

  it.each([{ strategy: 'node', node: 'n1', soft: false }, { selectors: { 'ray.io/node-id': 'n1' } }])(
    'are refused on another one that was asked for (%o)',
    async (more) => {
      const { kit, ask } = setUp();
      const place = await ask(1, more);
      await expect(place.ready(never, nothing)).rejects.toMatchObject({
        ...{ code: 'TASK_UNSCHEDULABLE', message: expect.stringContaining('n1') },
      });
      place.release();
      expect(kit.ledger.status().free('n1')?.amounts.get('CPU')).toBe(80_000);
    },
  );

  it('wait for a label that only another node has', async () => {
    const { ask } = setUp();
    const place = await ask(1, { selectors: { zone: 'far' } });
    const seen = await Promise.race([place.ready(never, nothing), new Promise((done) => setImmediate(done, 'waits'))]);
    expect([seen, place.reason === null]).toEqual(['waits', false]);
  });
});

describe('seats in a group of two nodes', () => {
  async function grouped(...bundles: Record<string, number>[]) {
    const { cluster, ask, tell } = setUp();
    const group = await cluster.createGroup(groupSpec({ bundles, strategy: 'SPREAD' }));
    tell();
    const there = group.status.bundles.map(({ node }) => node);
    const inside = (bundle: number, GPU = 1) => ask(0, { resources: { GPU }, group: { group: group.id, bundle } });
    return { there, inside };
  }

  it('are in the bundles of the node of the service', async () => {
    const { there, inside } = await grouped(...gpus(2));
    expect([...there].sort()).toEqual(['n0', 'n1']);
    const here = there.indexOf('n0');
    expect((await (await inside(-1)).ready(never, nothing)).node).toBe('n0');
    await expect((await inside(1 - here)).ready(never, nothing)).rejects.toMatchObject({
      ...{ code: 'TASK_UNSCHEDULABLE', message: expect.stringContaining('n1') },
    });
    const second = await inside(here);
    const waits = second.ready(never, nothing).then(() => 'seated');
    expect(await Promise.race([waits, new Promise((done) => setImmediate(done, 'waits'))])).toBe('waits');
  });

  it('are refused when all of it is elsewhere', async () => {
    const { there, inside } = await grouped({ GPU: 3 });
    expect(there).toEqual(['n1']);
    await expect((await inside(-1)).ready(never, nothing)).rejects.toMatchObject({ code: 'TASK_UNSCHEDULABLE' });
  });
});
