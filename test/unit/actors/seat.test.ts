import { describe, expect, it } from 'vitest';
import { jobOf, setupOf } from '../../../src/actors/job.js';
import { askForSeat, leave, seatOf } from '../../../src/actors/seat.js';
import type { SeatDevice } from '../../../src/cluster/api.js';
import { WORK_PROTOCOL } from '../../../src/protocol/work.js';
import { ScriptedCluster } from '../runtime/scripted-cluster.js';
import { demandOf } from './played-client.js';

const device = (resource: string, instance: number): SeatDevice => ({
  resource,
  instance,
  uuid: `${instance}`,
  quantity: 1,
});

async function seated(devices: SeatDevice[], more: Parameters<typeof demandOf>[1] = {}, mayMask = true) {
  const cluster = new ScriptedCluster('own');
  const demand = demandOf({ CPU: 1 }, more);
  const group = await askForSeat(cluster, demand, 'n0', null);
  cluster.group.set({ bundles: [{ index: 0, resources: demand.resources, node: 'n0', devices }] });
  return seatOf(
    group,
    group.status,
    demand,
    ({ instance }) => String(instance + 10),
    () => mayMask,
  );
}

describe('seats', () => {
  it('ask for a lease by the strategy of the demand', async () => {
    const cluster = new ScriptedCluster('own');
    await askForSeat(cluster, demandOf({ CPU: 1 }, { selectors: { a: 'b' } }), 'n0', { CPU: 1 });
    expect(cluster.group.spec).toMatchObject({
      ...{ bundles: [{ CPU: 1 }], selectors: [{ a: 'b' }], hold: 'stateful' },
      task: { strategy: { kind: 'default' }, preferred: 'n0', needs: { CPU: 1 } },
    });
    await askForSeat(cluster, demandOf({}, { strategy: 'node', node: 'n1', soft: true }), 'n0', null);
    expect(cluster.group.spec).toMatchObject({
      selectors: null,
      task: { strategy: { kind: 'node-affinity', node: 'n1', soft: true } },
    });
    await askForSeat(cluster, demandOf({}, { strategy: 'spread' }), 'n0', null);
    expect(cluster.group.spec.task?.strategy).toEqual({ kind: 'spread' });
  });

  it('name the devices as Ray counts them, and mask the vendor’s as its runtime does', async () => {
    expect(await seated([device('GPU', 0), device('GPU', 2), device('NPU', 1)], { env: { A: 'b' } })).toMatchObject({
      ...{ node: 'n0', devices: { GPU: ['0', '2'], NPU: ['1'] } },
      env: { CUDA_VISIBLE_DEVICES: '10,12', ASCEND_RT_VISIBLE_DEVICES: '11', A: 'b' },
    });
  });

  it('leave variables alone without devices, where the user keeps them, or sets them in the demand', async () => {
    expect((await seated([])).env).toEqual({});
    expect((await seated([device('GPU', 0)], {}, false)).env).toEqual({});
    expect((await seated([device('GPU', 0)], { env: { CUDA_VISIBLE_DEVICES: '7' } })).env).toEqual({
      CUDA_VISIBLE_DEVICES: '7',
    });
    expect((await seated([device('TPU', 0)])).env).toEqual({});
  });

  it('are none without a node', async () => {
    const cluster = new ScriptedCluster('own');
    const group = await askForSeat(cluster, demandOf(), 'n0', null);
    const find = () => seatOf(group, group.status, demandOf(), String, () => true);
    expect(find).toThrow(expect.objectContaining({ code: 'GROUP_REMOVED' }));
    leave(group);
    leave(null);
    expect(cluster.group.removed).toBe(1);
  });
});

describe('jobs', () => {
  it('are what a driver says of itself, and what its workers are told', () => {
    const hello = { python: '/py', sys_path: ['/a'], cwd: '/c', namespace: 'n' };
    const join = { t: 'join' as const, protocol: WORK_PROTOCOL, kind: 'driver', pid: 1, path: '', ...hello };
    const job = jobOf(3, join);
    expect(job).toEqual({ driver: 3, python: '/py', sysPath: ['/a'], cwd: '/c', namespace: 'n' });
    expect(setupOf(job, { A: 'b' }, { GPU: ['0'] })).toEqual({
      ...{ sys_path: ['/a'], cwd: '/c', namespace: 'n', env: { A: 'b' }, devices: { GPU: ['0'] } },
    });
    expect(() => jobOf(3, { ...join, python: '' })).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
