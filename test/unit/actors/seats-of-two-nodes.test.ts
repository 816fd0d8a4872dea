import { describe, expect, it } from 'vitest';
import { Seats } from '../../../src/actors/seats.js';
import { groupSpec } from '../../../src/cluster/group-spec.js';
import { LedgerCluster } from '../../../src/cluster/ledger-cluster.js';
import type { Demand } from '../../../src/protocol/work.js';
import { gpus, helloOf, LedgerKit } from '../cluster/support.js';
import { demandOf } from './played-client.js';

const never = new AbortController().signal;
const nothing = (): void => {};

/** Whoever asks is on n0; n1 is larger. */
function setUp() {
  const kit = new LedgerKit([
    helloOf('n0', { total: { CPU: 2, GPU: 1 } }),
    helloOf('n1', { total: { CPU: 8, GPU: 4 }, labels: { zone: 'far' } }),
  ]);
  const { ledger } = kit;
  const core = { state: ledger, enter: <T>(act: (of: typeof ledger) => T): T => act(ledger) };
  const cluster = new LedgerCluster({ core, cluster: 'c', owner: 'me' });
  const seats = new Seats(cluster);
  const tell = (): void => cluster.heard(kit.events.splice(0));
  const ask = async (cpus: number, more: Partial<Demand> = {}) => {
    const place = await seats.ask(demandOf({ CPU: cpus }, more), null, 'n0');
    tell();
    return place;
  };
  return { kit, cluster, ask, tell };
}

describe('seats in a cluster of two nodes', () => {
  it('are on the node of who asks, as long as there is room', async () => {
    const { ask } = setUp();
    expect((await (await ask(1)).ready(never, nothing)).node).toBe('n0');
    expect((await (await ask(4)).ready(never, nothing)).node).toBe('n1');
  });

  it('wait with a reason for what none has free', async () => {
    const { ask } = setUp();
    await (await ask(8)).ready(never, nothing);
    const withdrawn = new AbortController();
    const place = await ask(4);
    const ready = place.ready(withdrawn.signal, nothing);
    expect(place.reason).not.toBeNull();
    withdrawn.abort(new Error('enough'));
    await expect(ready).rejects.toThrow('enough');
  });

  it.each([
    { strategy: 'node', node: 'n1', soft: false },
    { selectors: { 'ray.io/node-id': 'n1' } },
    { selectors: { zone: 'far' } },
  ])('are on another one that was asked for (%o)', async (more) => {
    const { kit, ask } = setUp();
    const place = await ask(1, more);
    expect((await place.ready(never, nothing)).node).toBe('n1');
    place.release();
    expect(kit.ledger.status().free('n1')?.amounts.get('CPU')).toBe(80_000);
  });

  it('are looked for anew when their node has left', async () => {
    const { kit, ask, tell } = setUp();
    const place = await ask(1, { strategy: 'node', node: 'n1', soft: true });
    expect((await place.ready(never, nothing)).node).toBe('n1');
    const lost: unknown[] = [];
    place.onLost((reason, again) => lost.push([reason, again]));
    kit.ledger.nodeLeft('n1', 'it left');
    tell();
    expect(lost).toEqual([[expect.any(String), true]]);
    expect((await place.ready(never, nothing)).node).toBe('n0');
  });
});

describe('seats in a group of two nodes', () => {
  async function grouped(...bundles: Record<string, number>[]) {
    const { kit, cluster, ask, tell } = setUp();
    const group = await cluster.createGroup(groupSpec({ bundles, strategy: 'SPREAD' }));
    tell();
    const there = group.status.bundles.map(({ node }) => node);
    const inside = (bundle: number, GPU = 1) => ask(0, { resources: { GPU }, group: { group: group.id, bundle } });
    return { kit, tell, there, inside };
  }

  it('are in its bundles, wherever those are', async () => {
    const { there, inside } = await grouped(...gpus(2));
    expect([...there].sort()).toEqual(['n0', 'n1']);
    expect((await (await inside(0)).ready(never, nothing)).node).toBe(there[0]);
    expect((await (await inside(-1)).ready(never, nothing)).node).toBe(there[1]);
    const third = await inside(-1);
    const waits = third.ready(never, nothing).then(() => 'seated');
    expect(await Promise.race([waits, new Promise((done) => setImmediate(done, 'waits'))])).toBe('waits');
  });

  it('are shared out anew when the group has its places again', async () => {
    const { kit, tell, there, inside } = await grouped({ GPU: 1 });
    const place = await inside(0);
    await place.ready(never, nothing);
    const lost: boolean[] = [];
    place.onLost((_reason, again) => lost.push(again));
    kit.ledger.nodeLeft(there[0] as string, 'it left');
    tell();
    expect(lost).toEqual([true]);
    expect((await place.ready(never, nothing)).node).not.toBe(there[0]);
    const second = await inside(0);
    const waits = second.ready(never, nothing).then(() => 'seated');
    expect(await Promise.race([waits, new Promise((done) => setImmediate(done, 'waits'))])).toBe('waits');
    place.release();
    expect(await waits).toBe('seated');
  });
});
