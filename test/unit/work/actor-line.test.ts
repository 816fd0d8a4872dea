import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkClient } from '../../../src/work/client.js';
import type { Slot } from '../../../src/work/refs.js';
import { until } from '../actors/played-client.js';
import { cardOf, codeOf, joinedClient, PlayedNode, resultOf, settled, shapeOf } from './played-node.js';
import { type PlayedWorker, raised } from './played-worker.js';

const ID = '9.1';
let node: PlayedNode;
let client: WorkClient;
let worker: PlayedWorker;
beforeEach(async () => {
  node = await PlayedNode.open();
  client = await joinedClient(node);
  worker = await node.worker();
});
afterEach(async () => {
  client[Symbol.dispose]();
  await node.close();
});

const line = (ordered = true) => client.line(cardOf(ID, ordered));
const call = (args: readonly unknown[] = [], over = {}, ordered = true): Slot =>
  client.submit(line(ordered), shapeOf(over), args, ID);
const alive = (epoch = 0, at = worker) => node.actor({ id: ID, state: 'ALIVE', epoch, path: at.path });
const order = async (count: number) => {
  const heard: unknown[] = [];
  for (let at = 0; at < count; at++) heard.push(((await worker.call()).args as unknown[])[0]);
  return heard;
};

describe('calls to an actor', () => {
  it('wait until it lives, and are sent in their order', async () => {
    const slots = [1, 2, 3].map((at) => call([at]));
    expect((await node.told('actor.watch')).params).toEqual({ id: ID });
    node.actor({ id: ID, state: 'PENDING' });
    alive();
    expect(await worker.heard('dial')).toMatchObject({ client: 7, instance: 'one', portable: true });
    for (const slot of slots) {
      const invoked = await worker.call();
      expect(invoked.frame).toMatchObject({ t: 'invoke', ref: slot.id, target: 'go', group: '' });
      expect(invoked.frame).not.toHaveProperty('returns');
      invoked.reply({ got: invoked.args });
    }
    expect(await resultOf(client, slots[2] as Slot)).toEqual({ got: [3] });
    expect(line().pending).toBe(0);
  });

  it('wait behind one whose argument is not there, in turn', async () => {
    alive();
    const first = call(['first']);
    await settled(node, client);
    alive();
    const ref = client.objects.refOf(first);
    const second = call([ref]);
    const third = call(['third']);
    (await worker.call()).reply('a value');
    const given = await worker.call();
    expect(given.frame).toMatchObject({ ref: second.id, given: [{ f: 'msgpack', s: [8] }] });
    expect((await worker.call()).frame.ref).toBe(third.id);
  });

  it('wait behind one that has to be prepared: a reference inside it is made known first', async () => {
    delete node.answers['object.publish'];
    alive();
    const inner = await client.objects.put('small');
    const first = call([[client.objects.refOf(inner)]]);
    const second = call([2]);
    const publish = await node.asked('object.publish');
    expect(publish.params).toMatchObject({ ids: [inner.id], values: [{ f: 'msgpack' }] });
    await settled(node, client);
    expect(worker.invoked).toEqual([]);
    node.answer(publish, {});
    expect((await worker.call()).frame).toMatchObject({ ref: first.id, args: { refs: [inner.id] } });
    expect((await worker.call()).frame.ref).toBe(second.id);
  });

  it('overtake one that waits, where the actor has no order', async () => {
    call([], {}, false);
    alive();
    const early = await worker.call();
    const waiting = call([client.objects.refOf(client.objects.refs.take(early.frame.ref))], {}, false);
    call(['a'], {}, false);
    call(['b'], {}, false);
    expect(await order(2)).toEqual(['a', 'b']);
    early.reply(1);
    expect((await worker.call()).frame.ref).toBe(waiting.id);
  });

  it('keep the order that the living actor says it has', async () => {
    const first = call(['first']);
    node.actor({ id: ID, state: 'ALIVE', path: worker.path, ordered: false });
    const early = await worker.call();
    expect(early.frame.ref).toBe(first.id);
    call([client.objects.refOf(first)]);
    call(['overtakes']);
    expect(await order(1)).toEqual(['overtakes']);
  });

  it('fail with an argument that failed, and the others go on', async () => {
    alive();
    const first = call();
    const second = call([client.objects.refOf(first)]);
    const third = call(['third']);
    (await worker.call()).fail('KeyError', 'k');
    expect(await codeOf(client, second)).toBe('TASK_FAILED');
    expect((await worker.call()).frame.ref).toBe(third.id);
  });

  it('that cannot be prepared fail, and the others go on', async () => {
    delete node.answers['object.publish'];
    alive();
    const first = call([[client.objects.refOf(await client.objects.put(1))]]);
    const second = call([2]);
    node.refuse((await node.asked('object.publish')).id, 'OBJECT_LOST');
    expect(await codeOf(client, first)).toBe('OBJECT_LOST');
    expect((await worker.call()).frame.ref).toBe(second.id);
  });

  it('10,000 that wait for each other fail together', async () => {
    const slots = [call()];
    for (let at = 1; at < 10_000; at++) slots.push(call([client.objects.refOf(slots[at - 1] as Slot)]));
    alive();
    (await worker.call()).fail();
    expect(await codeOf(client, slots[9999] as Slot)).toBe('TASK_FAILED');
  });

  it('keep the actor alive until they are over', async () => {
    const handle = client.objects.borrow(ID, true);
    const slot = call();
    client.objects.release([handle.id]);
    alive();
    const invoked = await worker.call();
    expect(client.objects.refs.find(ID)?.count).toBe(1);
    invoked.reply(null);
    await client.whenDone([slot], 1);
    expect((await node.told('object.drop')).params).toEqual({ ids: [ID] });
  });
});

describe('an actor that is started again', () => {
  it('fails calls that ran, sends those that may be repeated again, and those that waited', async () => {
    alive();
    const ran = call(['ran']);
    const again = call(['again'], { retries: 1 });
    const more = call(['more'], { retries: -1 });
    expect(await order(3)).toEqual(['ran', 'again', 'more']);
    await worker.die();
    node.actor({ id: ID, state: 'RESTARTING', reason: 'it was killed' });
    await expect(resultOf(client, ran)).rejects.toMatchObject({
      code: 'ACTOR_DIED',
      message: `actor ${ID} (Counter) was interrupted and is started again: it was killed`,
      details: { restarting: true },
    });
    const late = call(['late']);
    worker = await node.worker('second');
    alive(1);
    const sent = [await worker.call(), await worker.call(), await worker.call()];
    expect(sent.map(({ frame }) => frame.ref)).toEqual([again.id, more.id, late.id]);
    await worker.die();
    const last = await node.worker('third');
    node.actor({ id: ID, state: 'RESTARTING' });
    alive(2, last);
    expect(await codeOf(client, again)).toBe('ACTOR_DIED'); // it had one retry
    expect((await last.call()).frame.ref).toBe(more.id);
  });

  it('has answered what it answered, though the news overtook it', async () => {
    alive();
    const [answered, lost] = [call([1]), call([2])];
    const invoked = await worker.call();
    await worker.call();
    node.actor({ id: ID, state: 'RESTARTING', reason: 'r' });
    const second = await node.worker();
    alive(1, second); // at once
    await settled(node, client);
    expect([answered.done, lost.done]).toEqual([false, false]);
    const meanwhile = call([3]); // is not sent to the life that has ended
    invoked.reply('in time');
    await worker.die();
    expect(await resultOf(client, answered)).toBe('in time');
    expect(await codeOf(client, lost)).toBe('ACTOR_DIED');
    expect((await second.call()).frame.ref).toBe(meanwhile.id);
  });

  it('is met once in each life', async () => {
    alive();
    call();
    await worker.call();
    alive();
    await settled(node, client);
    expect(worker.sockets).toHaveLength(1);
  });

  it('may not be there yet: who cannot connect waits for what the node says', async () => {
    const slot = call(['x'], { retries: 1 });
    await worker.die();
    alive();
    await settled(node, client);
    expect(slot.done).toBe(false);
    worker = await node.worker('next');
    node.actor({ id: ID, state: 'RESTARTING' });
    alive(1);
    expect((await worker.call()).frame.ref).toBe(slot.id);
  });
});

describe('an actor that is dead', () => {
  it('fails what it had and what waits, with its cause', async () => {
    const waits = call();
    const { value, parts } = raised('RuntimeError', 'in __init__');
    node.actor({ id: ID, state: 'DEAD', reason: 'its constructor raised', cause: value, pid: 5 }, parts);
    await expect(resultOf(client, waits)).rejects.toMatchObject({
      code: 'ACTOR_DIED',
      details: { actor: ID, class: 'Counter', node: 'node-1', pid: 5, restarting: false },
      message: expect.stringMatching(
        /on node node-1, pid 5\) is dead: its constructor raised\n.*RuntimeError: in __init__/,
      ),
      cause: { code: 'TASK_FAILED' },
    });
  });

  it('has answered what it answered; the rest fails without a cause', async () => {
    alive();
    const [answered, lost] = [call(), call()];
    const invoked = await worker.call();
    node.actor({ id: ID, state: 'DEAD', reason: 'killed', pid: 0, node: '' });
    invoked.reply(5);
    await worker.die();
    expect(await resultOf(client, answered)).toBe(5);
    await expect(resultOf(client, lost)).rejects.toMatchObject({ message: `actor ${ID} (Counter) is dead: killed` });
  });

  it('could not be made for want of an environment', async () => {
    const slot = call();
    node.actor({ id: ID, state: 'DEAD', reason: 'pip failed', code: 'RUNTIME_ENV' });
    await expect(resultOf(client, slot)).rejects.toMatchObject({ code: 'RUNTIME_ENV', message: 'Counter: pip failed' });
  });

  it('is asked after again by whoever calls it again', async () => {
    call();
    await node.told('actor.watch');
    node.actor({ id: ID, state: 'DEAD' });
    await settled(node, client);
    const slot = call();
    await node.told('actor.watch');
    node.actor({ id: ID, state: 'DEAD', reason: 'still' });
    expect(await codeOf(client, slot)).toBe('ACTOR_DIED');
  });

  it('is told at once to whoever calls by the same line', async () => {
    const dead = line();
    node.actor({ id: ID, state: 'DEAD' });
    await settled(node, client);
    const slot = client.submit(dead, shapeOf(), [], ID);
    expect(slot.done).toBe(true);
  });
});

describe('a call that is cancelled', () => {
  it('never begins where it waits, is told to the worker where it runs', async () => {
    const waits = call(['waits']);
    client.cancel(waits, false, true);
    expect(await codeOf(client, waits)).toBe('ABORTED');
    alive();
    const runs = call(['runs'], { retries: 5 });
    const invoked = await worker.call();
    client.cancel(runs, false, true);
    expect(await worker.heard('withdraw')).toMatchObject({ id: invoked.frame.id });
    expect(runs.done).toBe(false);
    await worker.die();
    node.actor({ id: ID, state: 'RESTARTING' });
    expect(await codeOf(client, runs)).toBe('ABORTED');
  });

  it('is so where the actor dies before it answers, and where its life has ended', async () => {
    alive();
    const [first, second] = [call(), call()];
    await worker.call();
    client.cancel(first, false, true);
    await worker.die();
    await until(() => !line().isSent({ number: 0 } as never));
    client.cancel(second, false, true);
    node.actor({ id: ID, state: 'DEAD' });
    expect([await codeOf(client, first), await codeOf(client, second)]).toEqual(['ABORTED', 'ABORTED']);
  });

  it('cannot be forced', async () => {
    const slot = call();
    expect(() => client.cancel(slot, true, true)).toThrow('`force` is for tasks, and Counter.go is of an actor');
  });
});
