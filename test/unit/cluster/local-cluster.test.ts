import { afterEach, describe, expect, it, vi } from 'vitest';
import type { GroupStatus } from '../../../src/cluster/api.js';
import { openLocalCluster } from '../../../src/cluster/local-cluster.js';
import { affinityTo, gpus, groupOf, helloOf, leaseOf } from './support.js';

const DEVICES = { GPU: { ids: ['uuid-a', 'uuid-b'], numa: [0, 1], links: [] } };
const open = () => openLocalCluster({ hello: helloOf('n0', { devices: DEVICES }) });

afterEach(() => {
  vi.useRealTimers();
});

describe('local cluster', () => {
  it('gives a group its devices, and lists who holds them', async () => {
    await using cluster = open();
    const group = await cluster.createGroup(groupOf({ name: 'g', bundles: [{ GPU: 1, CPU: 1 }, { GPU: 0.5 }] }));
    const status = await group.ready();
    expect(status).toMatchObject({ name: 'g', state: 'CREATED', scheduling: 'FINISHED', attempts: 1 });
    expect(status.bundles.map(({ node, devices }) => [node, devices])).toEqual([
      ['n0', [{ resource: 'GPU', instance: 0, uuid: 'uuid-a', quantity: 1 }]],
      ['n0', [{ resource: 'GPU', instance: 1, uuid: 'uuid-b', quantity: 0.5 }]],
    ]);
    const { nodes, groups, epoch } = await cluster.snapshot();
    expect(epoch).toBe(1);
    expect(groups).toEqual([status]);
    expect(nodes).toMatchObject([{ id: 'n0', state: 'alive', available: { CPU: 3, GPU: 0.5 } }]);
    expect(nodes[0]?.devices).toEqual([
      {
        resource: 'GPU',
        instance: 0,
        uuid: 'uuid-a',
        numa: 0,
        free: 0,
        heldBy: [{ group: group.id, bundle: 0, quantity: 1 }],
      },
      {
        resource: 'GPU',
        instance: 1,
        uuid: 'uuid-b',
        numa: 1,
        free: 0.5,
        heldBy: [{ group: group.id, bundle: 1, quantity: 0.5 }],
      },
    ]);
    await group.remove();
    expect((await cluster.snapshot()).nodes[0]?.available).toEqual({ GPU: 2, CPU: 4 });
    expect(group.status.bundles[0]?.devices[0]?.uuid).toBe('uuid-a'); // its last seats stay visible
  });

  it('makes who waits ready in the moment of a removal, and tells listeners until they stop', async () => {
    await using cluster = open();
    const first = await cluster.createGroup(groupOf({ bundles: gpus(2) }));
    const second = await cluster.createGroup(groupOf());
    const heard: string[] = [];
    const stop = second.onChange(({ state, scheduling }) => heard.push(`${state} ${scheduling}`));
    expect(second.status).toMatchObject({ scheduling: 'NO_RESOURCES', position: 0 });
    expect(await second.explain()).toMatchObject([{ node: 'n0', kind: 'busy' }]);
    const ready = second.ready();
    await first.remove();
    expect((await ready).state).toBe('CREATED');
    expect(await second.explain()).toEqual([]);
    expect(heard).toEqual(['CREATED FINISHED', 'CREATED FINISHED']);
    stop();
    stop();
    await second.remove();
    expect(heard).toHaveLength(2);
  });

  it('fails who waits for a removed group', async () => {
    await using cluster = open();
    const group = await cluster.createGroup(groupOf({ bundles: [{ GPU: 3 }] }));
    const waiting = expect(group.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
    await group.remove();
    await group.remove();
    await waiting;
    await expect(group.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
  });

  it('tells at the deadline what each node lacks', async () => {
    vi.useFakeTimers();
    await using cluster = open();
    const group = await cluster.createGroup(groupOf({ bundles: [{ GPU: 3 }] }));
    const waiting = expect(group.ready({ timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringMatching(/within 1000 ms: .*n0: .*GPU/),
      details: { scheduling: 'INFEASIBLE', nodes: [{ node: 'n0', kind: 'infeasible' }] },
    });
    await vi.advanceTimersByTimeAsync(1000);
    await waiting;
    expect(vi.getTimerCount()).toBe(0);
  });

  it('stops waiting when told to, with the reason given', async () => {
    await using cluster = open();
    const group = await cluster.createGroup(groupOf({ bundles: [{ GPU: 3 }] }));
    const controller = new AbortController();
    const waiting = group.ready({ signal: controller.signal, timeoutMs: 60_000 });
    controller.abort(new Error('never mind'));
    await expect(waiting).rejects.toThrow('never mind');
    await expect(group.ready({ signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
    const placed = await cluster.createGroup(groupOf());
    await expect(placed.ready({ signal: new AbortController().signal })).resolves.toMatchObject({ state: 'CREATED' });
  });

  it('needs no timer, also after a long time', async () => {
    vi.useFakeTimers();
    let nowMs = 0;
    await using cluster = openLocalCluster({ hello: helloOf('n0'), nowMs: () => nowMs });
    const group = await cluster.createGroup(groupOf({ hold: 'stateful' }));
    expect(vi.getTimerCount()).toBe(0);
    nowMs = 1e9;
    const other = await cluster.createGroup(groupOf());
    expect([group, other].map(({ status }: { status: GroupStatus }) => status.state)).toEqual(['CREATED', 'CREATED']);
  });

  it('refuses what is wrong, and everything once it is closed', async () => {
    const cluster = open();
    await expect(cluster.createGroup(groupOf({ bundles: [{}] }))).rejects.toMatchObject({ code: 'PLACEMENT_INVALID' });
    await cluster.createGroup(groupOf({ name: 'a' }));
    await expect(cluster.createGroup(groupOf({ name: 'a' }))).rejects.toMatchObject({ code: 'GROUP_NAME_TAKEN' });
    const waiting = await cluster.createGroup(groupOf({ bundles: [{ GPU: 3 }] }));
    const failed = expect(waiting.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
    await cluster[Symbol.asyncDispose]();
    await failed;
    await expect(cluster.createGroup(groupOf())).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    expect(() => openLocalCluster({ hello: helloOf('n0', { total: { GPU: -1 } }) })).toThrow(/whole number/);
  });

  it('tells who waits for a lease why it can never have a node, and forgets the lease', async () => {
    await using cluster = open();
    const refused = await cluster.createGroup(leaseOf({ strategy: affinityTo('moon') }));
    await expect(refused.ready()).rejects.toMatchObject({
      code: 'TASK_UNSCHEDULABLE',
      status: 409,
      message: `lease ${refused.id} has no node: node moon is not known, and the task may run nowhere else`,
    });
    await refused.remove();
    const given = await cluster.createGroup(leaseOf({}, { bundles: [{}] }));
    expect(await given.ready()).toMatchObject({ kind: 'lease', bundles: [{ resources: {}, node: 'n0', devices: [] }] });
    const full = await cluster.createGroup(leaseOf({ strategy: affinityTo('n0') }, { bundles: [{ CPU: 4 }] }));
    await full.ready();
    const waiting = await cluster.createGroup(leaseOf({ strategy: affinityTo('n0') }));
    await expect(waiting.ready({ timeoutMs: 1 })).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: expect.stringContaining('n0: CPU 0 free of 4, needed 1'),
    });
    const { groups } = await cluster.snapshot();
    expect(groups.map(({ id }) => id)).toEqual([given, full, waiting].map(({ id }) => id));
    await given.remove();
    await expect(given.ready()).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
  });
});
