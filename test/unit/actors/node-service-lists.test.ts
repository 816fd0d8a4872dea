/** What a node service lists, with clients that say what the test says. */
import { expect, it } from 'vitest';
import { NodeKit } from './node-kit.js';
import { demandOf, inline, type PlayedClient, until } from './played-client.js';

const CALL = { id: '1.5', name: 'f', kind: 'task', state: 'RUNNING', worker: null as number | null, since: 5 };

async function answer(client: PlayedClient, calls: readonly object[]): Promise<void> {
  const { params } = await client.hear('report');
  client.tell('report', { token: params.token, calls });
}

it('asks programs and workers what they have called, and gives workers their pids', async () => {
  await using kit = await NodeKit.open();
  const driver = await kit.driver({ pid: 501 });
  await driver.ask('lease', demandOf());
  const worker = await kit.worker(0);
  const tasks = kit.service.lists.tasks();
  await answer(driver, [{ ...CALL, worker: worker.client.id }]);
  await answer(worker.client, [{ ...CALL, id: 'nested', state: 'WAITING' }]);
  expect(await tasks).toEqual({
    tasks: [
      { ...CALL, worker: worker.client.id, pid: worker.pid, callerPid: 501 },
      { ...CALL, id: 'nested', state: 'WAITING', pid: null, callerPid: worker.pid },
    ],
    silent: [],
    untold: [],
  });
});

it('goes on without a client that leaves, or that is cut off because it answers nonsense', async () => {
  await using kit = await NodeKit.open();
  const [leaver, babbler] = [await kit.driver(), await kit.driver()];
  const tasks = kit.service.lists.tasks();
  await answer(babbler, [{ name: 7 }]);
  leaver.leave();
  expect(await tasks).toEqual({ tasks: [], silent: [], untold: [] });
  expect(await babbler.ended.promise).toBeDefined();
});

it('tells of an actor what room it misses, and of objects which processes hold them', async () => {
  await using kit = await NodeKit.open({ cpus: 4 });
  const [driver, other] = [await kit.driver({ pid: 501 }), await kit.driver({ pid: 502 })];
  const id = await kit.actor(driver, { demand: demandOf({ GPU: 3 }) });
  await driver.ask('object.publish', { ids: ['o'], values: [inline(3)] }, [Buffer.alloc(3)]);
  await other.ask('object.hold', { ids: ['o'] });
  const { lists } = kit.service;
  expect(lists.actors()).toEqual([
    expect.objectContaining({ id, class: 'Cls', state: 'PENDING', reason: expect.stringContaining('GPU'), pid: null }),
  ]);
  const row = { id: 'o', state: 'sealed', bytes: 3, where: 'inline' };
  expect(lists.objects()).toEqual([expect.objectContaining({ ...row, holders: [501, 502], owner: 501 })]);
  expect(kit.service.status()).toMatchObject({ actors: 1, store: { objects: 1 } });
  driver.leave();
  await until(() => kit.service.status().drivers === 1, 'the service has heard that it left');
  expect(lists.objects()).toEqual([expect.objectContaining({ ...row, holders: [502], owner: null })]);
});
