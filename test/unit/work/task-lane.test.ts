import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WorkClient } from '../../../src/work/client.js';
import type { Slot } from '../../../src/work/refs.js';
import { until } from '../actors/played-client.js';
import { codeOf, DEMAND, joinedClient, PlayedNode, resultOf, settled, shapeOf } from './played-node.js';
import type { PlayedWorker } from './played-worker.js';

let node: PlayedNode;
let client: WorkClient;
let worker: PlayedWorker;
beforeEach(async () => {
  node = await PlayedNode.open();
  client = await joinedClient(node);
  worker = await node.worker();
});
afterEach(async () => {
  vi.useRealTimers();
  client[Symbol.dispose]();
  await node.close();
});

const task = (args: readonly unknown[] = [], over = {}): Slot =>
  client.submit(client.lane(DEMAND), shapeOf({ where: 'work', ...over }), args, null);
const lease = async (number: number, at = worker) => node.lease(await node.asked('lease'), number, at);
const lost = (number: number) => node.say('lease.lost', { lease: number, how: 'it was killed' });

describe('a task', () => {
  it('asks for a worker, and the next one takes the same', async () => {
    const first = task(['a']);
    const asked = await node.asked('lease');
    expect(asked.params).toEqual(DEMAND);
    node.lease(asked, 1, worker);
    (await worker.call()).reply('A');
    expect(await resultOf(client, first)).toBe('A');
    const second = task(['b']);
    (await worker.call()).reply('B');
    expect(await resultOf(client, second)).toBe('B');
    await settled(node, client);
    expect([node.asks, worker.sockets.length]).toEqual([[], 1]);
  });

  it('of another demand takes another worker', async () => {
    task();
    await lease(1);
    await worker.call();
    const other = { ...DEMAND, resources: { CPU: 2 } };
    client.submit(client.lane(other), shapeOf(), [], null);
    expect((await node.asked('lease')).params).toEqual(other);
    expect(client.lane({ ...DEMAND })).toBe(client.lane(DEMAND));
  });

  it('waits for its arguments before it asks, and fails with them', async () => {
    const first = task();
    const [second, third] = [task([client.objects.refOf(first)]), task(['x', client.objects.refOf(first)])];
    await lease(1);
    const invoked = await worker.call();
    expect(node.asks).toEqual([]);
    invoked.fail('KeyError');
    expect(await Promise.all([second, third].map((slot) => codeOf(client, slot)))).toEqual([
      'TASK_FAILED',
      'TASK_FAILED',
    ]);
  });

  it('that cannot be placed fails, when nobody else will take it', async () => {
    const [first, second] = [task(), task()];
    const [one, two] = [await node.asked('lease'), await node.asked('lease')];
    node.refuse(one.id, 'TASK_UNSCHEDULABLE', 'no node has it');
    await settled(node, client);
    expect([first.done, second.done]).toEqual([false, false]);
    node.refuse(two.id, 'TASK_UNSCHEDULABLE', 'no node has it');
    expect(await codeOf(client, first)).toBe('TASK_UNSCHEDULABLE');
    expect(await codeOf(client, second)).toBe('TASK_UNSCHEDULABLE');
  });

  it('asks for 64 workers at once, no more', async () => {
    for (let at = 0; at < 100; at++) task();
    await settled(node, client);
    expect(node.asks).toHaveLength(64);
  });

  it('that was too much for a frame fails, and its worker takes the next', async () => {
    const parts = [new Uint8Array(2 ** 30)];
    const large = { value: { f: 'raw', s: [2 ** 30], at: '', refs: [] }, parts, keep: [] };
    vi.spyOn(client.objects, 'prepareNow').mockReturnValueOnce(large);
    const [first, second] = [task(['large']), task(['small'])];
    await lease(1);
    expect(await codeOf(client, first)).toBe('INVALID_REQUEST');
    expect((await worker.call()).frame.ref).toBe(second.id);
  });
});

describe('a worker that nobody needs', () => {
  it('is not asked for any more: the question is withdrawn', async () => {
    const [first, second] = [task(), task()];
    const [one, two] = [await node.asked('lease'), await node.asked('lease')];
    node.lease(one, 1, worker);
    (await worker.call()).reply(1);
    (await worker.call()).reply(2);
    await client.whenDone([first, second], 2);
    await until(() => node.withdrawn.length > 0);
    expect(node.withdrawn).toEqual([two.id]);
    node.refuse(two.id, 'ABORTED');
    await settled(node, client);
    // One that comes all the same is kept for a moment, and takes the next task.
    const third = task();
    (await worker.call()).reply(3);
    expect(await resultOf(client, third)).toBe(3);
  });

  it('is given back when somebody else waits for one, and after a second', async () => {
    const first = task();
    await lease(1);
    const invoked = await worker.call();
    node.say('lease.wanted', {}); // it has a task: it stays
    await settled(node, client);
    expect(node.tells).toEqual([]);
    invoked.reply(1);
    await client.whenDone([first], 1);
    node.say('lease.wanted', {});
    expect((await node.told('release')).params).toEqual({ lease: 1 });
    const began = performance.now();
    task();
    await lease(2);
    (await worker.call()).reply(2);
    expect((await node.told('release')).params).toEqual({ lease: 2 });
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  it('takes no task after it waited inside of one', async () => {
    const first = task();
    await lease(1);
    const invoked = await worker.call();
    task();
    node.say('lease.spent', { lease: 1 });
    await settled(node, client);
    invoked.reply(1);
    await client.whenDone([first], 1);
    expect((await node.told('release')).params).toEqual({ lease: 1 });
    await settled(node, client);
    expect([worker.invoked, node.asks.length]).toEqual([[], 1]);
  });

  it('that has ended before it was used is released, and another is asked for', async () => {
    const first = task();
    await lease(1);
    (await worker.call()).reply(1);
    await client.whenDone([first], 1);
    await worker.die();
    await settled(node, client);
    await until(() => {
      task();
      return node.tells.length > 0;
    });
    expect(await node.told('release')).toMatchObject({ params: { lease: 1 } });
    await node.asked('lease');
  });
});

describe('a worker that dies', () => {
  it('fails its task, or has it run again', async () => {
    const [once, again] = [task(['once']), task(['again'], { retries: 1 })];
    const second = await node.worker();
    await lease(1);
    await lease(2, second);
    await worker.call();
    await second.call();
    await Promise.all([worker.die(), second.die()]);
    lost(1);
    lost(2);
    await expect(resultOf(client, once)).rejects.toMatchObject({
      code: 'WORKER_DIED',
      message: 'the worker of work ended on node node-1, pid 1001: it was killed',
    });
    const third = await node.worker();
    await lease(3, third);
    (await third.call()).reply('at last');
    expect(await resultOf(client, again)).toBe('at last');
  });

  it('has answered what it answered, though the news overtook it', async () => {
    const slot = task();
    await lease(1);
    const invoked = await worker.call();
    lost(1);
    lost(1);
    await settled(node, client);
    expect(slot.done).toBe(false);
    invoked.reply('in time');
    await worker.die();
    expect(await resultOf(client, slot)).toBe('in time');
    task();
    await node.asked('lease'); // it takes no other
  });

  it('is not used when the news came in one breath with the lease', async () => {
    const slot = task();
    const asked = await node.asked('lease');
    await worker.die();
    node.lease(asked, 1, worker);
    lost(1);
    const second = await node.worker();
    await lease(2, second);
    (await second.call()).reply(2);
    expect(await resultOf(client, slot)).toBe(2);
  });

  it('does not leave alone the tasks that waited for it', async () => {
    const [first, second] = [task(), task()];
    await lease(1);
    await worker.call();
    node.refuse((await node.asked('lease')).id, 'TASK_UNSCHEDULABLE'); // no second one
    await worker.die();
    lost(1);
    expect(await codeOf(client, first)).toBe('WORKER_DIED');
    const other = await node.worker();
    await lease(2, other);
    (await other.call()).reply('b');
    expect(await resultOf(client, second)).toBe('b');
  });

  it('without a task, is forgotten', async () => {
    const first = task();
    await lease(1);
    (await worker.call()).reply(1);
    await client.whenDone([first], 1);
    await worker.die();
    lost(1);
    await settled(node, client);
    task();
    await node.asked('lease');
    expect(node.tells).toEqual([]);
  });
});

describe('exceptions', () => {
  it('use up retries where that is wanted', async () => {
    const slot = task([], { again: true, retries: 2 });
    await lease(1);
    for (let at = 0; at < 3; at++) (await worker.call()).fail('ValueError', `try ${at}`);
    await expect(resultOf(client, slot)).rejects.toMatchObject({ remoteMessage: 'try 2' });
    const other = task([], { retries: 2 });
    (await worker.call()).fail('ValueError');
    expect(await codeOf(client, other)).toBe('TASK_FAILED');
    expect(worker.invoked).toEqual([]);
  });

  it('use up none of one that was cancelled', async () => {
    const slot = task([], { again: true, retries: 2 });
    await lease(1);
    const invoked = await worker.call();
    client.cancel(slot, false, false);
    expect((await node.told('interrupt')).params).toEqual({
      ...{ worker: 101, ref: slot.id, force: false, recursive: false },
    });
    invoked.fail('KeyboardInterrupt');
    expect(await codeOf(client, slot)).toBe('TASK_FAILED');
  });
});

describe('a task that is cancelled', () => {
  it('never begins, and its worker is wanted no more', async () => {
    const waits = task();
    const early = task([client.objects.refOf(waits)]);
    const asked = await node.asked('lease');
    client.cancel(early, false, true);
    expect(await codeOf(client, early)).toBe('ABORTED');
    client.cancel(waits, false, true);
    client.cancel(waits, false, true);
    expect(await codeOf(client, waits)).toBe('ABORTED');
    await until(() => node.withdrawn.includes(asked.id));
    node.lease(asked, 1, worker);
    await settled(node, client);
    expect(worker.invoked).toEqual([]);
  });

  it('is so when its worker dies, whatever its retries', async () => {
    const slot = task([], { retries: -1 });
    await lease(1);
    await worker.call();
    client.cancel(slot, true, true);
    expect((await node.told('interrupt')).params).toMatchObject({ force: true });
    await worker.die();
    lost(1);
    expect(await codeOf(client, slot)).toBe('ABORTED');
  });
});

it('everything fails when the head goes away', async () => {
  const runs = task([], { retries: 3 });
  await lease(1);
  await worker.call();
  const slots = [runs, task(), task([client.objects.refOf(runs)])];
  await node.asked('lease');
  node.leave();
  for (const slot of slots) expect(await codeOf(client, slot)).toBe('HEAD_UNREACHABLE');
  expect(() => task()).toThrow(expect.objectContaining({ code: 'HEAD_UNREACHABLE' }));
  lost(1);
});
