import { describe, expect, it } from 'vitest';
import { ScriptedCluster } from '../runtime/scripted-cluster.js';
import { NodeKit } from './node-kit.js';
import { demandOf, refusal, until } from './played-client.js';

const leases = (kit: NodeKit): number => kit.service.status().leases;

describe('leases of workers', () => {
  it('give a worker that is set up for the driver, and its place back when it is released', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver({ cwd: '/home', namespace: 'mine', sys_path: ['/src'] });
    const { value } = await driver.ask('lease', demandOf({ CPU: 1 }, { env: { A: 'b' } }));
    const worker = await kit.worker(0);
    expect(value).toEqual({
      ...{ lease: 1, worker: worker.client.id, pid: worker.pid, node: 'n0', path: worker.request.launch.endpoint },
    });
    expect((await worker.client.hear('setup')).params).toEqual({
      ...{ sys_path: ['/src'], cwd: '/home', namespace: 'mine', env: { A: 'b' }, devices: {} },
      ...{ job: driver.id, resources: { CPU: 1 }, env_vars: { A: 'b' } },
    });
    expect([leases(kit), await kit.free()]).toEqual([1, 3]);
    driver.tell('release', { lease: 1 });
    driver.tell('release', { lease: 1 });
    await driver.sync();
    expect([leases(kit), await kit.free()]).toEqual([0, 4]);
  });

  it('are released by who has them only', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    await driver.ask('lease', demandOf());
    other.tell('release', { lease: 1 });
    await other.sync();
    expect(leases(kit)).toBe(1);
  });

  it('show devices to the worker; it ends when it is released, and only then they are others’', async () => {
    await using kit = await NodeKit.open({ spare: 1 });
    const driver = await kit.driver();
    const { value } = await driver.ask('lease', demandOf({ GPU: 2 }));
    const { pid, lease } = value as { pid: number; lease: number };
    const worker = kit.workers.find((one) => one.pid === pid);
    expect((await worker?.client.hear('setup'))?.params).toMatchObject({
      env: { CUDA_VISIBLE_DEVICES: '0,1' },
      devices: { GPU: ['0', '1'] },
    });
    kit.paired.lingers = true;
    driver.tell('release', { lease });
    await driver.sync();
    expect([leases(kit), await kit.free('GPU')]).toEqual([0, 0]);
    kit.paired.lingers = false;
    worker?.end({ signal: 9 });
    await driver.ask('lease', demandOf({ GPU: 2 }));
  });

  it('wait for room, and ask everybody for what they do not use', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const [driver, other] = [await kit.driver(), await kit.driver()];
    await driver.ask('lease', demandOf());
    const waiting = other.ask('lease', demandOf());
    await driver.hear('lease.wanted');
    driver.tell('release', { lease: 1 });
    expect((await waiting).value).toMatchObject({ lease: 2 });
  });

  it('that wait go with their client: the place is others’, and no worker is lost', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const [driver, other, third] = [await kit.driver(), await kit.driver(), await kit.driver()];
    await driver.ask('lease', demandOf());
    void other.ask('lease', demandOf()).catch(() => {});
    await driver.hear('lease.wanted');
    other.leave();
    await until(() => kit.service.status().drivers === 2);
    const waiting = third.ask('lease', demandOf());
    await driver.hear('lease.wanted');
    driver.tell('release', { lease: 1 });
    expect((await waiting).value).toMatchObject({ lease: 2 });
    expect([leases(kit), await kit.free()]).toEqual([1, 0]);
  });

  it('that are withdrawn while their worker starts give it back', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    kit.launcher.joins = false;
    const withdrawn = driver.ask('lease', demandOf(), [], 77);
    const worker = await kit.worker(0);
    driver.withdraw(77);
    await driver.sync();
    worker.join().catch(() => {});
    await expect(withdrawn).rejects.toMatchObject(refusal('ABORTED'));
    await until(() => !worker.alive); // no spare ones are wanted here
    expect([leases(kit), await kit.free()]).toEqual([0, 4]);
  });

  it('leave workers that wait for the next of their driver, and end with it', async () => {
    await using kit = await NodeKit.open({ spare: 1 });
    const driver = await kit.driver();
    const first = (await driver.ask('lease', demandOf())).value as { pid: number };
    driver.tell('release', { lease: 1 });
    const second = (await driver.ask('lease', demandOf())).value as { pid: number };
    expect(second.pid).toBe(first.pid);
    driver.tell('release', { lease: 2 });
    await driver.sync();
    const worker = kit.workers.find(({ pid }) => pid === first.pid);
    expect(worker?.alive).toBe(true);
    driver.leave();
    await until(() => worker?.alive === false);
  });

  it('end with their client, and so do the workers that work for it', async () => {
    await using kit = await NodeKit.open({ spare: 2 });
    const driver = await kit.driver();
    const { value } = await driver.ask('lease', demandOf());
    driver.leave();
    await until(() => kit.workers.some(({ pid, alive }) => pid === (value as { pid: number }).pid && !alive));
    await until(() => leases(kit) === 0);
    expect(await kit.free()).toBe(4);
  });

  it('end with their worker, and the client is told how', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    await driver.ask('lease', demandOf());
    kit.workers[0]?.end({ signal: 11 });
    expect((await driver.hear('lease.lost')).params).toEqual({ lease: 1, how: 'signal 11' });
    expect([leases(kit), await kit.free()]).toEqual([0, 4]);
  });

  it('lend their CPUs while they wait inside a task, but not their devices', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const driver = await kit.driver();
    await driver.ask('lease', demandOf());
    const worker = await kit.worker(0);
    worker.client.tell('blocked');
    worker.client.tell('blocked');
    await worker.client.sync();
    expect(await kit.free()).toBe(1);
    await driver.ask('lease', demandOf({ GPU: 1 }));
    const holder = await kit.worker(1);
    holder.client.tell('blocked');
    await holder.client.sync();
    expect(await kit.free('GPU')).toBe(1);
    driver.tell('release', { lease: 1 });
    await driver.sync();
    expect(await kit.free()).toBe(1);
  });

  it('give the place back when no worker can be started', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    kit.launcher.refusal = new Error('no memory');
    await expect(driver.ask('lease', demandOf())).rejects.toMatchObject(refusal('INTERNAL', /no memory/));
    expect([await kit.free(), leases(kit)]).toEqual([4, 0]);
  });

  it('are refused where the ledger refuses them, or the strategy is none', async () => {
    const cluster = new ScriptedCluster('own');
    await using kit = await NodeKit.open({ cluster });
    const driver = await kit.driver();
    await expect(driver.ask('lease', demandOf({}, { strategy: 'luck' }))).rejects.toMatchObject(
      refusal('INVALID_REQUEST', /strategy/),
    );
    cluster.refusal = new Error('the journal is full');
    await expect(driver.ask('lease', demandOf())).rejects.toMatchObject(refusal('INTERNAL', /journal/));
    expect(cluster.groups).toEqual([]);
  });
});
