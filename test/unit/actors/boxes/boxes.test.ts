/** Clients and workers of other boxes, as the desks of the head know them. */
import { rmSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { WorkerEnd } from '../../../../src/actors/worker.js';
import { WORK_PROTOCOL } from '../../../../src/protocol/work.js';
import { deferred } from '../../../../src/util/deferred.js';
import { BoxesKit } from '../boxes-kit.js';
import { demandOf, refusal, until } from '../played-client.js';

describe('clients of another box', () => {
  it('have numbers of their own, and are known to the head until they leave', async () => {
    await using kit = await BoxesKit.open();
    const [far, other] = [await kit.join('n1'), await kit.join('n2')];
    const clients = [await kit.head.driver(), await far.driver(), await far.driver(), await other.driver()];
    expect(new Set(clients.map(({ id }) => id)).size).toBe(4);
    await until(() => kit.head.service.status().drivers === 4);
    expect([far.service.status().drivers, other.service.status().drivers]).toEqual([2, 1]);
    clients[1]?.leave();
    await until(() => kit.head.service.status().drivers === 3);
    expect(far.service.status().drivers).toBe(1);
  });

  it('have the answers of the head, with bytes both ways, its refusals, and what it tells them', async () => {
    await using kit = await BoxesKit.open();
    const driver = await (await kit.join('n1')).driver();
    const blob = Buffer.from('the code');
    const key = '3d90c1a2f6cbc1c2f1d5f2e7ad2d8e8b6b1cf4c1c1e87cf1a3cc1ad51ef0ed5c';
    await expect(driver.ask('code.put', { key, name: 'f' }, [blob])).rejects.toMatchObject(refusal('INVALID_REQUEST'));
    const { createHash } = await import('node:crypto');
    const right = createHash('sha256').update(blob).digest('hex');
    await driver.ask('code.put', { key: right, name: 'f' }, [blob]);
    expect(await driver.ask('code.get', { key: right })).toEqual({ value: 'f', body: blob });
    await expect(driver.ask('actor.find', { namespace: '', name: 'x' })).rejects.toMatchObject(
      refusal('ACTOR_NOT_FOUND'),
    );
    await expect(driver.ask('constructor')).rejects.toMatchObject(refusal('PROTOCOL'));
  });

  it('that tell nonsense are cut off, they alone', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const [driver, bystander] = [await far.driver(), await far.driver()];
    driver.tell('object.drop', { ids: 7 });
    await driver.ended.promise;
    await bystander.sync();
    expect(kit.head.service.status().drivers).toBe(1);
  });

  it('are refused there as they are at the head', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    await expect(far.connect().join({ python: '' })).rejects.toMatchObject(refusal('INVALID_REQUEST'));
    await expect(far.connect().join({ kind: 'worker' })).rejects.toMatchObject(refusal('PROTOCOL'));
    await kit.settled();
    expect(kit.head.service.status().drivers).toBe(0);
  });

  it('are refused when the box has no number left for them, and the others go on', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1', { numbers: 2 });
    const first = await far.driver();
    await far.driver();
    await expect(far.connect().join()).rejects.toMatchObject(refusal('OVERLOADED', /2 programs/));
    await expect(kit.lease(first, 'n1')).rejects.toMatchObject(refusal('OVERLOADED'));
    await first.sync();
    expect(await kit.free('n1')).toBe(4);
  });

  it('find the doors that are counted no further shut, and no other', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const talk = { protocol: WORK_PROTOCOL, door: { host: 'h', port: 1, key: Buffer.alloc(32) } };
    const welcomes = (): void => {
      for (;;) kit.boxes.welcome('n9', talk);
    };
    expect(welcomes).toThrow(expect.objectContaining(refusal('OVERLOADED')));
    await (await far.driver()).sync();
  });

  it('end with their box at the head, and what they made with them', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await far.driver();
    await kit.actor(driver, 'n0');
    const worker = await kit.head.worker(0);
    await worker.client.hear('assign');
    await far.lose();
    await driver.ended.promise;
    await until(() => kit.head.service.status().drivers === 0 && !worker.alive);
    expect(kit.head.service.lists.actors()).toEqual([]);
  });
});

describe('a worker of another box', () => {
  it('is set up for the job of whoever asked, and called by a socket here', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver({ cwd: '/there', namespace: 'mine' });
    const lease = await kit.lease(driver, 'n1');
    const worker = await far.worker(0);
    expect((await worker.client.hear('setup')).params).toMatchObject({
      cwd: '/there',
      namespace: 'mine',
      job: driver.id,
    });
    expect(lease).toMatchObject({ node: 'n1', worker: worker.client.id, pid: worker.pid });
    expect(lease.path.startsWith(kit.head.folder)).toBe(true);
    expect(await echoed(worker.request.launch.endpoint, lease.path)).toBe('heard there');
    expect([await kit.free('n1'), await kit.free('n0')]).toEqual([3, 2]);
  });

  it('is called by its own socket on its own box, and by one here on a third', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const own = await kit.lease(await far.driver(), 'n1');
    expect(own.path).toBe((await far.worker(0)).request.launch.endpoint);
    const other = await kit.lease(await third.driver(), 'n1');
    expect(other.path.startsWith(third.folder)).toBe(true);
    expect(await echoed((await far.worker(1)).request.launch.endpoint, other.path)).toBe('heard there');
  });

  it('that has ended cannot be dialled any more on other boxes', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const driver = await third.driver();
    const { path } = await kit.lease(driver, 'n1');
    (await far.worker(0)).end();
    await driver.hear('lease.lost');
    await until(() => third.fromHead.methods.includes('work.worker-ended'));
    await kit.settled();
    await expect(said(path)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('goes back to its pool when it is released, for the next who needs the same', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1', { spare: 1 });
    const driver = await kit.head.driver();
    const first = await kit.lease(driver, 'n1');
    driver.tell('release', { lease: first.lease });
    await driver.sync();
    expect(await kit.free('n1')).toBe(4);
    const second = await kit.lease(driver, 'n1');
    expect(second.worker).toBe(first.worker);
    expect(far.workers.find(({ client }) => client.id === first.worker)?.alive).toBe(true);
  });

  it.each([
    [{ code: 7 }, /exit code 7/],
    [{ signal: 11 }, /signal 11/],
  ])('that ended with %o is known to have ended so', async (how, text) => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver();
    const { lease } = await kit.lease(driver, 'n1');
    (await far.worker(0)).end(how);
    expect((await driver.hear('lease.lost')).params).toEqual({ lease, how: expect.stringMatching(text) });
    await until(() => kit.head.service.status().leases === 0);
    expect(await kit.free('n1')).toBe(4);
  });

  it('ends with whoever had it, and its place is free when it has ended', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await kit.head.driver();
    await kit.lease(driver, 'n1');
    const worker = await far.worker(0);
    driver.leave();
    await until(() => !worker.alive);
    await kit.settled();
    expect([await kit.free('n1'), far.service.status().workers]).toEqual([4, 0]);
  });

  it('that waits for the next work of a driver ends with that', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1', { spare: 1 });
    const driver = await (await kit.join('n2')).driver();
    const { lease, worker } = await kit.lease(driver, 'n1');
    driver.tell('release', { lease });
    await driver.sync();
    const idle = far.workers.find(({ client }) => client.id === worker);
    expect(idle?.alive).toBe(true);
    driver.leave();
    await until(() => idle?.alive === false);
  });

  it('that cannot be started is refused with the reason, and nothing stays taken', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    far.launcher.refusal = Object.assign(new Error('no such interpreter'), { code: 'X' });
    const driver = await kit.head.driver();
    await expect(kit.lease(driver, 'n1')).rejects.toMatchObject(refusal('INTERNAL', /no such interpreter/));
    expect(await kit.free('n1')).toBe(4);
  });

  it.each(['head', 'third'])(
    'is not kept from others when it cannot be called from the box of who asked: %s',
    async (from) => {
      await using kit = await BoxesKit.open();
      await kit.join('n1');
      const third = await kit.join('n2');
      const box = from === 'head' ? kit.head : third;
      const driver = await box.driver();
      await third.driver();
      rmSync(join(box.folder, 's'), { recursive: true });
      await expect(kit.lease(driver, 'n1')).rejects.toMatchObject(refusal('STORAGE_FAILED'));
      await until(() => kit.head.service.status().leases === 0);
      expect(await kit.free('n1')).toBe(4);
    },
  );

  it('is not given to who has withdrawn the question meanwhile', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const gate = far.hold();
    const driver = await third.driver();
    const asked = kit.lease(driver, 'n1', 77);
    await until(() => far.launcher.launches === 1);
    driver.withdraw(77);
    await until(() => third.toHead.methods.includes('work.withdraw'));
    gate.resolve();
    await expect(asked).rejects.toMatchObject(refusal('ABORTED'));
    await kit.settled();
    expect([await kit.free('n1'), kit.head.service.status().leases]).toEqual([4, 0]);
  });

  it('is not waited for by who has withdrawn the question for a place', async () => {
    await using kit = await BoxesKit.open();
    await kit.join('n1', { cpus: 1 });
    const driver = await (await kit.join('n2')).driver();
    await kit.lease(driver, 'n1');
    const asked = kit.lease(driver, 'n1', 78);
    await driver.hear('lease.wanted');
    driver.withdraw(78);
    await expect(asked).rejects.toMatchObject(refusal('ABORTED'));
  });

  it('is looked for elsewhere when its box is lost while it is started', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    far.hold();
    const driver = await third.driver();
    const asked = driver.ask('lease', kit.at('n1', true));
    await until(() => far.launcher.launches === 1);
    await far.lose();
    expect((await asked).value).toMatchObject({ node: expect.stringMatching(/n0|n2/) });
    expect(kit.head.service.status().leases).toBe(1);
  });
});

describe('an actor on another box', () => {
  it('is told with the path where each watcher can call it', async () => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const creator = await kit.head.driver();
    const id = await kit.actor(creator, 'n1');
    const worker = await far.worker(0);
    const { epoch } = (await worker.client.hear('assign')).params;
    const [own, other] = [await far.driver(), await third.driver()];
    for (const client of [own, other]) client.tell('actor.watch', { id });
    await Promise.all([own.sync(), other.sync()]);
    worker.client.tell('actor.born', { actor: id, epoch, cause: null });
    const alive = async (client: typeof own) => {
      await until(() => client.told.some(({ params }) => params.state === 'ALIVE'));
      return client.told.find(({ params }) => params.state === 'ALIVE')?.params;
    };
    const { endpoint } = worker.request.launch;
    expect(await alive(own)).toMatchObject({ node: 'n1', pid: worker.pid, path: endpoint });
    expect((await alive(creator))?.path).toMatch(kit.head.folder);
    expect((await alive(other))?.path).toMatch(third.folder);
    expect(kit.head.service.lists.actors()).toMatchObject([{ node: 'n1', pid: worker.pid, state: 'ALIVE' }]);
  });

  it('is made elsewhere when its box is lost while its worker is started, which is no restart', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    far.hold();
    const creator = await kit.head.driver();
    await kit.actor(creator, 'n1', {}, true);
    await until(() => far.launcher.launches === 1);
    await far.lose();
    const worker = await kit.head.worker(0);
    expect((await worker.client.hear('assign')).params).toMatchObject({ epoch: 0 });
    expect(kit.head.service.lists.actors()).toMatchObject([{ restarts: 0, state: 'PENDING' }]);
  });

  it.each([false, true])(
    'is started again elsewhere when its box is lost, once, also where that is told late (%s)',
    async (late) => {
      await using kit = await BoxesKit.open({ spare: 1 });
      const far = await kit.join('n1');
      const creator = await kit.head.driver();
      await until(() => kit.head.workers.length === 1); // ready for it
      await kit.actor(creator, 'n1', { max_restarts: 1 }, true);
      await (await far.worker(0)).client.hear('assign');
      const journal = deferred<void>();
      if (late) kit.journal = journal.promise;
      await far.lose();
      const assigned = () =>
        kit.head.workers.find(({ client }) => client.told.some(({ method }) => method === 'assign'));
      await until(() => assigned() !== undefined);
      journal.resolve();
      await kit.settled();
      expect(assigned()?.alive).toBe(true);
      expect(kit.head.service.lists.actors()).toMatchObject([{ restarts: 1, state: 'RESTARTING' }]);
    },
  );

  it('ends with its box when it may be nowhere else', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const creator = await kit.head.driver();
    await kit.actor(creator, 'n1', { max_restarts: 1 });
    await (await far.worker(0)).client.hear('assign');
    await far.lose();
    const actors = () => kit.head.service.lists.actors();
    await until(() => actors()[0]?.state === 'DEAD');
    expect(actors()).toMatchObject([{ reason: expect.stringMatching(/n1 is not known/), node: null, pid: null }]);
  });

  it('in a placement group goes where that goes when its box is lost, once, also where that is told late', async () => {
    await using kit = await BoxesKit.open({ spare: 1 });
    const far = await kit.join('n1', { cpus: 8 });
    const creator = await kit.head.driver();
    await until(() => kit.head.workers.length === 1);
    // Only n1 has room for it as long as the lease is held.
    const { lease } = await kit.lease(creator, 'n0');
    const { value: id } = await creator.ask('group.create', {
      ...{ bundles: [{ CPU: 2 }], strategy: 'PACK', name: 'g', namespace: 'default', detached: false },
    });
    await creator.ask('group.ready', { id });
    const demand = (CPU: number) => demandOf({ CPU }, { group: { group: id as string, bundle: 0 } });
    await kit.head.actor(creator, { max_restarts: 1, demand: demand(2) });
    await kit.head.actor(creator, { demand: demand(1) }); // waits for the other
    await (await far.worker(0)).client.hear('assign');
    creator.tell('release', { lease });
    await creator.sync();
    const journal = deferred<void>();
    kit.journal = journal.promise;
    await far.lose();
    const assigned = () =>
      kit.head.workers.filter(({ client }) => client.told.some(({ method }) => method === 'assign'));
    await until(() => assigned().length === 1);
    journal.resolve();
    await kit.settled();
    expect(assigned().map(({ alive }) => alive)).toEqual([true]);
    expect(kit.head.service.lists.actors()).toMatchObject([
      { restarts: 1, state: 'RESTARTING' },
      { restarts: 0, state: 'PENDING' },
    ]);
  });
});

describe('a head and an agent', () => {
  it.each<[string, unknown]>([
    ['work.nonsense', {}],
    ['constructor', {}],
    ['work.ask', null],
    ['work.ask', { client: 1 }],
    ['work.ask', { client: 1, token: 1, method: 'lease', params: {}, body: 'text' }],
    ['work.seal', { client: 1, seal: { id: 7 } }],
    ['work.find', { client: 'x', token: 1, id: '1.1' }],
  ])('refuse a question `%s` with %j, and go on', async (method, params) => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const driver = await far.driver();
    await expect(far.peer.call(method, params)).rejects.toMatchObject({
      code: expect.stringMatching(/PROTOCOL|INVALID_REQUEST/),
    });
    await expect(far.headPeer.call(method, params)).rejects.toMatchObject({
      code: expect.stringMatching(/PROTOCOL|INVALID_REQUEST/),
    });
    await driver.sync();
  });

  it.each<[string, unknown]>([
    ['work.nonsense', {}],
    ['work.toString', {}],
    ['work.tell', null],
    ['work.joined', { client: 3, hello: {}, worker: null }],
    ['work.ended', { client: 3, end: null }],
    ['work.gone', []],
    ['work.withdraw', { token: {} }],
  ])('part when the agent tells `%s` with %j, and the others go on', async (method, params) => {
    await using kit = await BoxesKit.open();
    const [far, third] = [await kit.join('n1'), await kit.join('n2')];
    const driver = await third.driver();
    far.peer.cast(method, params);
    await until(() => far.peer.closed !== null);
    expect(far.peer.closed).toMatchObject({ cause: 'bye', reason: expect.stringContaining(method) });
    await driver.sync();
    await kit.settled();
    expect(await kit.free('n1')).toBe(0);
  });

  it('part when the agent speaks for a client whose number is not its own', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const { id } = await kit.head.driver();
    const hello = {
      t: 'join',
      protocol: 2,
      kind: 'driver',
      pid: 1,
      path: '',
      python: '/py',
      sys_path: [],
      cwd: '/',
      namespace: '',
    };
    far.peer.cast('work.joined', { client: id, hello, worker: null });
    await until(() => far.peer.closed !== null);
    expect(kit.head.service.status().drivers).toBe(1);
  });

  it.each<[unknown]>([
    [null],
    [{}],
    [{ protocol: WORK_PROTOCOL, door: { host: 'h', port: 1, key: 'text' } }],
    [{ protocol: WORK_PROTOCOL, door: { host: 'h', port: 1, key: Buffer.alloc(3) } }],
    [{ protocol: WORK_PROTOCOL - 1, door: { host: 'h', port: 1, key: Buffer.alloc(32) } }],
  ])('do not come together when it says of itself %j', async (talk) => {
    await using kit = await BoxesKit.open();
    expect(() => kit.boxes.welcome('n1', talk)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/PROTOCOL|INVALID_REQUEST/) }),
    );
  });

  it('know after another join nothing of the one before', async () => {
    await using kit = await BoxesKit.open();
    const far = await kit.join('n1');
    const old = await far.driver();
    const driver = await kit.head.driver();
    await kit.lease(driver, 'n1');
    void far.lose();
    const again = await kit.join('n1');
    const fresh = await again.driver();
    expect(fresh.id).not.toBe(old.id);
    const end = (await driver.hear('lease.lost')).params as unknown as WorkerEnd;
    expect(end.how).toContain('n1 was lost');
    expect(await kit.free('n1')).toBe(4);
    await kit.lease(driver, 'n1');
    expect(again.workers.length).toBe(1);
  });
});

/** What a worker that listens at its own socket says to who dials another one. */
async function echoed(own: string, dialled: string): Promise<string> {
  const server = createServer((socket) => socket.end('heard there'));
  await new Promise<void>((resolve) => server.listen(own, resolve));
  try {
    return await said(dialled);
  } finally {
    server.close();
  }
}

function said(path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    createConnection(path)
      .on('error', reject)
      .on('data', (bytes) => {
        text += bytes;
      })
      .on('end', () => resolve(text));
  });
}
