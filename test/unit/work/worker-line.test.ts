import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WorkClient } from '../../../src/work/client.js';
import type { Slot, Stored } from '../../../src/work/refs.js';
import { until } from '../actors/played-client.js';
import { cardOf, codeOf, DEMAND, joinedClient, PlayedNode, resultOf, settled, shapeOf } from './played-node.js';
import { type PlayedWorker, packed } from './played-worker.js';

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
  vi.restoreAllMocks();
  client[Symbol.dispose]();
  await node.close();
});

const call = (over = {}): Slot => client.submit(client.line(cardOf(ID)), shapeOf(over), [], ID);
const alive = () => node.actor({ id: ID, state: 'ALIVE', path: worker.path });

describe('a reply', () => {
  it('with references in it is answered when this process holds them itself', async () => {
    delete node.answers['object.hold'];
    alive();
    const slot = call();
    const invoked = await worker.call();
    const { value, parts } = packed(1);
    invoked.answer({ value: { ...value, refs: ['3.1', '3.2'] }, parts }, { custody: true });
    const hold = await node.asked('object.hold');
    expect(hold.params).toEqual({ ids: ['3.1', '3.2'] });
    await client.whenDone([slot], 1);
    await settled(node, client);
    expect(worker.said.filter(({ t }) => t === 'kept')).toEqual([]);
    node.answer(hold, {});
    expect(await worker.heard('kept')).toEqual({ t: 'kept', id: invoked.frame.id });
    expect(client.objects.refs.find('3.1')).toMatchObject({ count: 1, known: true, held: true });
    client.objects.release([slot.id]);
    expect([(await node.told('object.drop')).params, (await node.told('object.drop')).params]).toEqual(
      expect.arrayContaining([{ ids: ['3.1'] }, { ids: ['3.2'] }]),
    );
  });

  it('that nobody wants any more lets go of what is inside', async () => {
    alive();
    const slot = call();
    const invoked = await worker.call();
    client.objects.release([slot.id]);
    const { value, parts } = packed(1);
    invoked.answer({ value: { ...value, refs: ['3.1'] }, parts }, { custody: true });
    await worker.heard('kept');
    expect((await node.told('object.drop')).params).toEqual({ ids: ['3.1'] });
    expect(client.objects.refs.find('3.1')).toBe(null);
  });

  it('that was sealed under the id of its call is held, until it is dropped', async () => {
    alive();
    const [kept, unwanted] = [call(), call()];
    const [first, second] = [await worker.call(), await worker.call()];
    client.objects.release([unwanted.id]);
    first.sealed(kept.id);
    second.sealed(unwanted.id);
    expect((await node.told('object.drop')).params).toEqual({ ids: [unwanted.id] });
    expect(kept.known).toBe(true);
    client.objects.release([kept.id]);
    expect((await node.told('object.drop')).params).toEqual({ ids: [kept.id] });
  });

  it('that was sealed is dropped, too, when it had been promised and let go of before', async () => {
    alive();
    const slot = call();
    const invoked = await worker.call();
    await client.objects.makeKnown([slot.id]);
    client.objects.release([slot.id]);
    expect((await node.told('object.drop')).params).toEqual({ ids: [slot.id] });
    invoked.sealed(slot.id);
    expect((await node.told('object.drop')).params).toEqual({ ids: [slot.id] }); // the worker sealed it for this process
  });

  it('of nothing that was asked is let go of', async () => {
    alive();
    call();
    const invoked = await worker.call();
    invoked.sealed('3.9', { id: 99 });
    expect((await node.told('object.drop')).params).toEqual({ ids: ['3.9'] });
    invoked.reply('x', { id: 99 });
    invoked.reply(1);
    await settled(node, client);
  });

  it('says which call it is of, in any order', async () => {
    alive();
    const slots = [call(), call(), call()];
    const invoked = [await worker.call(), await worker.call(), await worker.call()];
    for (const one of [...invoked].reverse()) one.reply(one.frame.ref);
    for (const slot of slots) expect(await resultOf(client, slot)).toBe(slot.id);
  });
});

describe('items', () => {
  it('of a generator that was called for one value say how to take them', async () => {
    alive();
    const slot = call();
    const invoked = await worker.call();
    invoked.reply('item', { more: true });
    invoked.sealed('3.1', { more: true });
    expect((await node.told('object.drop')).params).toEqual({ ids: ['3.1'] });
    invoked.reply(null);
    await expect(resultOf(client, slot)).rejects.toMatchObject({
      code: 'INVALID_REQUEST',
      message: 'Counter.go is a generator: take its items with stream()',
    });
  });

  it('of a generator that fails after some are an error', async () => {
    alive();
    const slot = call();
    const invoked = await worker.call();
    invoked.reply('item', { more: true });
    invoked.fail();
    expect(await codeOf(client, slot)).toBe('TASK_FAILED');
  });

  it('come once, though the generator begins again', async () => {
    const taken: (Stored | null)[] = [];
    const slot = call({ items: (stored: Stored | null) => taken.push(stored), retries: 1, returns: -1 });
    alive();
    const invoked = await worker.call();
    expect(invoked.frame.returns).toBe(-1);
    invoked.reply('a', { more: true });
    invoked.reply('b', { more: true });
    await until(() => taken.length === 2);
    await worker.die();
    node.actor({ id: ID, state: 'RESTARTING' });
    worker = await node.worker();
    node.actor({ id: ID, state: 'ALIVE', epoch: 1, path: worker.path });
    const again = await worker.call();
    for (const item of ['a', 'b', 'c']) again.reply(item, { more: true });
    again.reply(null);
    await client.whenDone([slot], 1);
    const read = await Promise.all(taken.map((one) => (one === null ? null : client.objects.valueOf(one))));
    expect(read).toEqual(['a', 'b', 'c', null]);
  });
});

describe('a process that has too many files', () => {
  const broken = (code: string) =>
    vi.spyOn(net.Socket.prototype, 'connect').mockImplementationOnce(function (this: net.Socket) {
      process.nextTick(() => this.destroy(new Error(`connect ${code} ${worker.path}`)));
      return this;
    });

  it.each(['EMFILE', 'ENFILE', 'ENOMEM'])('cannot call an actor: %s', async (code) => {
    const slot = call({ retries: -1 });
    broken(code);
    alive();
    await expect(resultOf(client, slot)).rejects.toMatchObject({
      code: 'CHANNEL_CLOSED',
      message: `no connection with actor ${ID} can be made: connect ${code} ${worker.path}`,
    });
    expect(await codeOf(client, call())).toBe('CHANNEL_CLOSED');
  });

  it('cannot run tasks, and gives the worker back', async () => {
    const slots = [shapeOf(), shapeOf()].map((shape) => client.submit(client.lane(DEMAND), shape, [], null));
    broken('EMFILE');
    node.lease(await node.asked('lease'), 1, worker);
    expect((await node.told('release')).params).toEqual({ lease: 1 });
    expect(await codeOf(client, slots[0] as Slot)).toBe('CHANNEL_CLOSED');
    node.refuse((await node.asked('lease')).id, 'TASK_UNSCHEDULABLE');
    expect(await codeOf(client, slots[1] as Slot)).toBe('TASK_UNSCHEDULABLE');
  });
});
