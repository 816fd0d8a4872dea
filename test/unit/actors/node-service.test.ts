import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ASKS, TELLS } from '../../../src/actors/methods.js';
import { deferred } from '../../../src/util/deferred.js';
import { NodeKit } from './node-kit.js';
import { demandOf, inline, refusal, until } from './played-client.js';

/** What msgpack can say and nobody means. */
const NONSENSE: unknown[] = [
  ...[
    null,
    7,
    'x',
    true,
    [],
    {},
    [{}],
    { id: 7 },
    { ids: 'x' },
    { ids: [null] },
    { key: {} },
    { slab: 'x' },
    { lease: null },
  ],
  ...[
    { resources: { CPU: 'x' } },
    { id: '1.1', bytes: -1 },
    { id: '1.1', bytes: Number.NaN },
    { ids: ['1.1'], values: [{}] },
  ],
  ...[{ actor: '1.1', epoch: 'x', cause: null }, { namespace: {}, name: [] }, { worker: 'x' }, { token: {}, calls: 7 }],
];

describe('joining a node service', () => {
  it('gives each client a number of its own', async () => {
    await using kit = await NodeKit.open();
    const [first, second] = [await kit.driver(), await kit.driver()];
    expect(first.id).not.toBe(second.id);
    expect(kit.service.status()).toMatchObject({ drivers: 2, workers: 0, actors: 0, leases: 0 });
    first.leave();
    await until(() => kit.service.status().drivers === 1);
    expect(statSync(kit.socket).isSocket()).toBe(true);
  });

  it.each<[string, object, string, RegExp]>([
    ['another protocol', { protocol: 99 }, 'PROTOCOL', /99.*of one version/],
    ['no interpreter', { python: '' }, 'INVALID_REQUEST', /python/],
    ['a worker', { kind: 'worker' }, 'PROTOCOL', /driver/],
    ['a wrong field', { sys_path: [7] }, 'INVALID_REQUEST', /sys_path.0/],
  ])('is refused to %s', async (_what, hello, code, message) => {
    await using kit = await NodeKit.open();
    const client = kit.connect();
    await expect(client.join(hello)).rejects.toMatchObject(refusal(code, message));
    await client.ended.promise;
    expect(kit.service.status().drivers).toBe(0);
  });

  it('ends who speaks before it has joined, and who joins twice', async () => {
    await using kit = await NodeKit.open();
    const early = kit.connect();
    early.tell('object.drop', { ids: [] });
    await early.ended.promise;
    const twice = await kit.driver();
    void twice.join().catch(() => {});
    await twice.ended.promise;
    await until(() => kit.service.status().drivers === 0);
  });
});

describe('nonsense from a client', () => {
  it.each(Object.keys(ASKS))('is refused as a question for `%s`, and the client stays', async (method) => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    for (const params of NONSENSE) {
      const answer = await driver
        .ask(method, params, [Buffer.from('abc')])
        .catch((refused: { code: string }) => refused.code);
      expect(answer).not.toBe('INTERNAL');
    }
    await driver.sync();
  });

  it.each(Object.keys(TELLS).filter((method) => method !== 'blocked'))('ends who tells it as `%s`', async (method) => {
    await using kit = await NodeKit.open();
    const bystander = await kit.driver();
    for (const params of NONSENSE) {
      const driver = await kit.driver();
      driver.tell(method, params);
      await driver.sync().catch(() => {}); // some of it is no nonsense for some method
      driver.leave();
    }
    await bystander.sync();
    const driver = await kit.driver();
    driver.tell(method, 7);
    await driver.ended.promise;
  });

  it.each<[string, object]>([
    ['no kind', {}],
    ['an unknown kind', { t: 'shout' }],
    ['a question without a number', { t: 'ask', method: 'lease', params: {} }],
    ['a word without a method', { t: 'tell', params: {} }],
    ['a list', [1]],
    ['an unknown word', { t: 'tell', method: 'constructor', params: {} }],
  ])('ends who sends a frame of %s', async (_what, frame) => {
    await using kit = await NodeKit.open();
    const [driver, bystander] = [await kit.driver(), await kit.driver()];
    driver.send(frame);
    await driver.ended.promise;
    await bystander.sync();
    await until(() => kit.service.status().drivers === 1);
  });

  it('is refused as a method, also one that every object has', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    for (const method of ['nothing', 'constructor', '__proto__', 'toString']) {
      await expect(driver.ask(method)).rejects.toMatchObject(refusal('PROTOCOL', /no method/));
    }
  });

  it('ends who asks a second question by the number of one that is open', async () => {
    await using kit = await NodeKit.open({ cpus: 1 });
    const driver = await kit.driver();
    await driver.ask('lease', demandOf());
    for (let times = 0; times < 2; times++) void driver.ask('lease', demandOf(), [], 99);
    await driver.ended.promise;
    await until(() => kit.service.status().leases === 0);
  });

  it('ends who seals what is not there by a word', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    driver.tell('object.seal', { id: '1.1', value: inline(1), holders: [] });
    await driver.ended.promise;
  });
});

describe('what goes through the service', () => {
  it('reaches the worker that is interrupted, and nobody else', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    await driver.ask('lease', demandOf());
    const worker = await kit.worker(0);
    const params = { worker: worker.client.id, ref: '1.3', force: false };
    driver.tell('interrupt', params);
    expect((await worker.client.hear('interrupt')).params).toEqual(params);
    driver.tell('interrupt', { ...params, worker: driver.id });
    driver.tell('interrupt', { ...params, worker: 999 });
    await driver.sync();
    expect(driver.told).toEqual([]);
  });

  it('lets a wait for a value end with its client, and with its withdrawal', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    await driver.ask('object.publish', { ids: ['1.1'], values: [null] });
    const withdrawn = other.ask('object.open', { ids: ['1.1'] }, [], 50);
    void other.ask('object.open', { ids: ['1.1'] }).catch(() => {});
    other.withdraw(50);
    other.withdraw(51_000);
    await expect(withdrawn).rejects.toMatchObject(refusal('ABORTED'));
    expect(kit.service.lists.objects()[0]?.waiters).toBe(1);
    other.leave();
    await until(() => kit.service.lists.objects()[0]?.waiters === 0);
  });

  it('keeps code for all, and abandons what was reserved', async () => {
    await using kit = await NodeKit.open();
    const [driver, other] = [await kit.driver(), await kit.driver()];
    const key = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    await driver.ask('code.put', { key, name: 'f' }, [Buffer.from('abc')]);
    const { value, body } = await other.ask('code.get', { key });
    expect([value, String(body)]).toEqual(['f', 'abc']);
    await driver.ask('object.reserve', { id: '1.1', bytes: 64 });
    expect((await driver.ask('slab.where', { slab: 0 })).value).toMatchObject({ pid: process.pid });
    await driver.ask('object.abandon', { id: '1.1' });
    expect(kit.service.status().store).toMatchObject({ objects: 0, usedBytes: 0 });
  });

  it('ends a worker that hangs up', async () => {
    await using kit = await NodeKit.open();
    const driver = await kit.driver();
    await driver.ask('lease', demandOf());
    const worker = await kit.worker(0);
    worker.client.leave();
    await driver.hear('lease.lost');
    expect(worker.alive).toBe(false);
  });

  it('ends with the service: clients hear it, workers are gone, who comes in between is not let in', async () => {
    const kit = await NodeKit.open({ cpus: 1 });
    const [driver, silent] = [await kit.driver(), kit.connect()];
    await driver.ask('lease', demandOf());
    const waiting = driver.ask('lease', demandOf());
    const refused = expect(waiting).rejects.toThrow(/ended/);
    const gate = deferred<void>();
    kit.launcher.gate = gate.promise;
    await kit.actor(driver, { demand: demandOf({}), detached: true, max_restarts: -1 }).catch(() => {});
    const closed = kit.service[Symbol.asyncDispose]();
    gate.resolve();
    await Promise.all([closed, refused, driver.ended.promise, silent.ended.promise]);
    expect(kit.workers.every(({ alive }) => !alive)).toBe(true);
    expect([kit.launcher.closed, kit.paired.fake.openFds.size]).toEqual([1, 0]);
    await kit[Symbol.asyncDispose]();
  });
});
