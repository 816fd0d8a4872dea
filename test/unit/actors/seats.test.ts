import { describe, expect, it } from 'vitest';
import { jobOf, setupOf } from '../../../src/actors/job.js';
import { Seats } from '../../../src/actors/seats.js';
import { groupSpec } from '../../../src/cluster/group-spec.js';
import { WORK_PROTOCOL } from '../../../src/protocol/work.js';
import { ScriptedCluster } from '../runtime/scripted-cluster.js';
import { demandOf } from './played-client.js';

const never = new AbortController().signal;
const nothing = (): void => {};

function setUp() {
  const cluster = new ScriptedCluster('own');
  return { cluster, seats: new Seats(cluster) };
}

describe('seats', () => {
  it('ask for a lease by the strategy of the demand', async () => {
    const { cluster, seats } = setUp();
    await seats.ask(demandOf({ CPU: 1 }, { selectors: { a: 'b' } }), { CPU: 1 }, 'n0');
    expect(cluster.group.spec).toMatchObject({
      ...{ bundles: [{ CPU: 1 }], selectors: [{ a: 'b' }], hold: 'stateful' },
      task: { strategy: { kind: 'default' }, preferred: 'n0', needs: { CPU: 1 } },
    });
    await seats.ask(demandOf({}, { strategy: 'node', node: 'n1', soft: true }), null, 'n0');
    expect(cluster.group.spec).toMatchObject({
      selectors: [{}],
      task: { strategy: { kind: 'node-affinity', node: 'n1', soft: true } },
    });
    await seats.ask(demandOf({}, { strategy: 'spread' }), null, 'n0');
    expect(cluster.group.spec.task?.strategy).toEqual({ kind: 'spread' });
    await expect(seats.ask(demandOf({}, { strategy: 'near' }), null, 'n0')).rejects.toMatchObject({
      ...{ code: 'INVALID_REQUEST', message: expect.stringContaining('"near"') },
    });
  });

  it('say why they wait, and press others', async () => {
    const { cluster, seats } = setUp();
    const place = await seats.ask(demandOf(), null, 'n0');
    let pressed = 0;
    const press = (): void => {
      pressed += 1;
    };
    cluster.group.set({ scheduling: 'NO_RESOURCES', reason: 'no CPU' });
    const ready = place.ready(never, press);
    expect([place.reason, pressed]).toEqual(['no CPU', 1]);
    cluster.group.set({ reason: 'still none' });
    expect(pressed).toBe(2);
    cluster.group.create('n0');
    await ready;
    expect([place.reason, place.holdsDevices, cluster.group.listeners]).toEqual([null, false, 0]);
  });

  it('are told once that they are lost, and not after they were released', async () => {
    const { cluster, seats } = setUp();
    const place = await seats.ask(demandOf(), null, 'n0');
    const heard: string[] = [];
    place.onLost((reason) => heard.push(reason));
    cluster.group.create('n0');
    await place.ready(never, nothing);
    cluster.group.set({ state: 'RESCHEDULING', reason: 'its node is gone' });
    cluster.group.set({ state: 'REMOVED', reason: null });
    expect(heard).toEqual(['its node is gone']);
    const other = await seats.ask(demandOf(), null, 'n0');
    other.onLost((reason) => heard.push(reason));
    other.release();
    other.release();
    cluster.group.set({ state: 'REMOVED' });
    expect([heard.length, cluster.group.removed]).toEqual([1, 1]);
  });
});

describe('seats in a placement group', () => {
  async function grouped(...bundles: Record<string, number>[]) {
    const { cluster, seats } = setUp();
    await cluster.createGroup(groupSpec({ bundles }));
    const ask = (gpus: number, bundle = -1) =>
      seats.ask(demandOf({ GPU: gpus }, { group: { group: 'g', bundle } }), null, 'n0');
    return { cluster, ask };
  }

  it('are parts of its bundles, in the order in which they were asked for', async () => {
    const { cluster, ask } = await grouped({ GPU: 1 }, { GPU: 1 });
    const [first, second, third] = [await ask(1), await ask(1, 1), await ask(1)];
    const early = first.ready(never, nothing);
    cluster.group.create('n0:3', 'n0:5');
    expect(await early).toMatchObject({ node: 'n0', held: [{ resource: 'GPU', instance: 3 }] });
    expect(await second.ready(never, nothing)).toMatchObject({ node: 'n0', held: [{ instance: 5 }] });
    let pressed = 0;
    const waits = third.ready(never, () => {
      pressed += 1;
    });
    await Promise.resolve();
    await new Promise(setImmediate);
    expect([third.reason, pressed]).toEqual(['others have what it needs of placement group g', 1]);
    second.release();
    second.release();
    expect((await waits).held).toMatchObject([{ instance: 5 }]);
    expect([third.reason, third.holdsDevices]).toEqual([null, true]);
  });

  it('are waited for until the signal, the group’s end, or for ever', async () => {
    const { cluster, ask } = await grouped({ GPU: 1 });
    cluster.group.create('n0:0');
    await (await ask(1)).ready(never, nothing);
    const withdrawn = new AbortController();
    const given = (await ask(1)).ready(withdrawn.signal, nothing);
    const kept = (await ask(1)).ready(never, nothing);
    given.catch(() => {});
    kept.catch(() => {});
    await new Promise(setImmediate);
    withdrawn.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
    cluster.group.set({ state: 'REMOVED', scheduling: 'REMOVED' });
    await expect(kept).rejects.toMatchObject({ code: 'GROUP_REMOVED' });
  });

  it('that no bundle could hold are refused, as those of a group that is not there', async () => {
    const { cluster, ask } = await grouped({ GPU: 1 });
    cluster.group.create('n0:0');
    await expect((await ask(2)).ready(never, nothing)).rejects.toMatchObject({ code: 'PLACEMENT_INVALID' });
    const { seats } = setUp();
    await expect(seats.ask(demandOf({}, { group: { group: 'g', bundle: 0 } }), null, 'n0')).rejects.toMatchObject({
      code: 'GROUP_NOT_FOUND',
    });
  });
});

describe('jobs', () => {
  it('are what a driver says of itself, and what its workers are told', () => {
    const hello = { python: '/py', sys_path: ['/a'], cwd: '/c', namespace: 'n' };
    const join = { t: 'join' as const, protocol: WORK_PROTOCOL, kind: 'driver', pid: 1, path: '', ...hello };
    const job = jobOf(3, join);
    expect(job).toEqual({ driver: 3, python: '/py', sysPath: ['/a'], cwd: '/c', namespace: 'n' });
    expect(
      setupOf(
        job,
        { env: { A: 'b', B: 'c' }, devices: { GPU: ['0'] }, facts: { resources: { GPU: 1 } } },
        { env: { A: 'b' } },
        { cwd: '/d', firstPath: ['/d'] },
      ),
    ).toEqual({
      ...{ sys_path: ['/a'], cwd: '/d', namespace: 'n', env: { A: 'b', B: 'c' }, devices: { GPU: ['0'] } },
      ...{ job: 3, resources: { GPU: 1 }, first_path: ['/d'], env_vars: { A: 'b' } },
    });
    expect(() => jobOf(3, { ...join, python: '' })).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
