import { describe, expect, it } from 'vitest';
import { GroupDesk } from '../../../src/actors/group-desk.js';
import { openLocalCluster } from '../../../src/cluster/local-cluster.js';
import { helloOf } from '../cluster/support.js';

const never = new AbortController().signal;
const wanted = { bundles: [{ CPU: 1 }], strategy: 'PACK', name: '', namespace: 'n', detached: false };

function setUp() {
  const cluster = openLocalCluster({ hello: helloOf('n0', { total: { CPU: 2 }, devices: {} }) });
  return { cluster, desk: new GroupDesk(cluster) };
}

describe('placement groups of clients', () => {
  it('are ready when they have their places, and found by their names', async () => {
    const { desk, cluster } = setUp();
    const id = await desk.create(1, { ...wanted, name: 'mine', bundles: [{ CPU: 1 }, { CPU: 1 }] });
    await desk.ready(id, never);
    expect(desk.named('mine', 'n')).toEqual({ id, bundles: [{ CPU: 1 }, { CPU: 1 }] });
    expect(cluster.groupOf(id)?.status).toMatchObject({ state: 'CREATED', hold: 'stateful', lifetime: 'owner' });
    await expect(desk.create(2, { ...wanted, name: 'mine' })).rejects.toMatchObject({ code: 'GROUP_NAME_TAKEN' });
  });

  it('go with their client, but for detached ones', async () => {
    const { desk, cluster } = setUp();
    const mine = await desk.create(1, wanted);
    const kept = await desk.create(1, { ...wanted, detached: true });
    const waits = await desk.create(2, wanted);
    const ready = desk.ready(waits, never);
    desk.clientGone(1);
    desk.clientGone(1);
    await ready;
    expect([cluster.groupOf(mine), cluster.groupOf(kept)?.status.state]).toEqual([null, 'CREATED']);
  });

  it('that are removed are gone for who waits and who asks', async () => {
    const { desk } = setUp();
    await desk.create(1, { ...wanted, bundles: [{ CPU: 2 }] });
    const waits = await desk.create(1, { ...wanted, name: 'w' });
    const ready = desk.ready(waits, never);
    ready.catch(() => {});
    await desk.remove(waits);
    await desk.remove(waits);
    await expect(ready).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
    await expect(desk.ready(waits, never)).rejects.toMatchObject({ code: 'GROUP_NOT_FOUND' });
    expect(() => desk.named('w', 'n')).toThrow(expect.objectContaining({ code: 'GROUP_NOT_FOUND' }));
  });

  it('that are wrong are refused', async () => {
    const { desk } = setUp();
    for (const wrong of [{ bundles: [] }, { strategy: 'NEAR' }, { bundles: [{ CPU: -1 }] }]) {
      await expect(desk.create(1, { ...wanted, ...wrong })).rejects.toMatchObject({ code: 'PLACEMENT_INVALID' });
    }
  });
});
