import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { WorkClient } from '../../../src/work/client.js';
import { Items } from '../../../src/work/items.js';
import { cardOf, joinedClient, PlayedNode, settled, shapeOf } from './played-node.js';
import { type Invoked, type PlayedWorker, packed } from './played-worker.js';

const ID = '9.1';
let node: PlayedNode;
let client: WorkClient;
let worker: PlayedWorker;
beforeEach(async () => {
  node = await PlayedNode.open();
  client = await joinedClient(node);
  worker = await node.worker();
  node.actor({ id: ID, state: 'ALIVE', path: worker.path });
});
afterEach(async () => {
  client[Symbol.dispose]();
  await node.close();
});

async function streamed(): Promise<{ readonly items: Items<unknown>; readonly invoked: Invoked; readonly id: string }> {
  const items = new Items<unknown>(client);
  const shape = shapeOf({ items: items.take, returns: -1 });
  const slot = client.submit(client.line(cardOf(ID)), shape, [], ID);
  items.begin(slot);
  node.actor({ id: ID, state: 'ALIVE', path: worker.path });
  return { items, invoked: await worker.call(), id: slot.id };
}

/** What the node was told to drop. */
async function dropped(): Promise<unknown[]> {
  await settled(node, client);
  return node.tells.filter(({ method }) => method === 'object.drop').flatMap(({ params }) => params.ids);
}

describe('items', () => {
  it('come as they are made, until the end', async () => {
    const { items, invoked, id } = await streamed();
    const first = items.next();
    invoked.reply('a', { more: true });
    expect(await first).toEqual({ done: false, value: 'a' });
    invoked.reply({ b: 1 }, { more: true });
    invoked.reply(null);
    expect(await items.next()).toEqual({ done: false, value: { b: 1 } });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect(client.objects.refs.find(id)).toBe(null);
  });

  it('are given to several that wait, each to one', async () => {
    const { items, invoked } = await streamed();
    const wanted = [items.next(), items.next(), items.next()];
    invoked.reply(1, { more: true });
    invoked.reply(2, { more: true });
    invoked.reply(null);
    const got = await Promise.all(wanted);
    expect(got.map(({ value }) => value).sort()).toEqual([1, 2, undefined]);
  });

  it('come before the error that ends them, which is thrown once', async () => {
    const { items, invoked } = await streamed();
    invoked.reply('a', { more: true });
    invoked.fail('ValueError', 'broken');
    await settled(node, client);
    expect(await items.next()).toEqual({ done: false, value: 'a' });
    await expect(items.next()).rejects.toMatchObject({ remoteMessage: 'broken' });
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  it('end when the actor dies, or the head goes away', async () => {
    const { items } = await streamed();
    const waiting = items.next();
    node.leave();
    await expect(waiting).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
  });

  it('are let go of when they were read, with what is inside of them', async () => {
    const { items, invoked } = await streamed();
    const { value, parts } = packed('x');
    invoked.answer({ value: { ...value, refs: ['3.5'] }, parts }, { more: true, custody: true });
    invoked.sealed('3.1', { more: true });
    node.answers['object.open'] = () => [{ value: { f: 'raw', s: [0], at: '', refs: [] }, block: null }];
    await items.next();
    expect(await dropped()).toEqual(['3.5']);
    await items.next();
    expect(await dropped()).toEqual(['3.5', '3.1']);
  });
});

describe('who stops early', () => {
  it('cancels the call, and lets go of what came and of what comes', async () => {
    const { items, invoked, id } = await streamed();
    invoked.reply(1, { more: true });
    invoked.sealed('3.1', { more: true });
    for await (const item of items) {
      expect(item).toBe(1);
      break;
    }
    expect(await worker.heard('withdraw')).toMatchObject({ id: invoked.frame.id });
    invoked.sealed('3.2', { more: true });
    const { value, parts } = packed('x');
    invoked.answer({ value: { ...value, refs: ['3.5'] }, parts }, { more: true, custody: true });
    await worker.heard('kept');
    expect((await dropped()).sort()).toEqual(['3.1', '3.2', '3.5']);
    invoked.fail('CancelledError');
    await settled(node, client);
    expect(await items.next()).toEqual({ done: true, value: undefined });
    expect([client.objects.refs.find(id), client.objects.refs.find('3.5')]).toEqual([null, null]);
  });

  it('cancels nothing when the call is over', async () => {
    const { items, invoked } = await streamed();
    invoked.sealed('3.1', { more: true });
    invoked.reply(null);
    await settled(node, client);
    await items.return();
    await items.return();
    expect(await dropped()).toEqual(['3.1']);
    expect(worker.said.some(({ t }) => t === 'withdraw')).toBe(false);
  });

  it('wakes whoever waits', async () => {
    const { items } = await streamed();
    const waiting = items.next();
    await items.return();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });

  it('is whoever gets an item that cannot be read', async () => {
    const { items, invoked, id } = await streamed();
    invoked.answer({ value: { f: 'pickle', s: [1], at: '', refs: [] }, parts: [Uint8Array.of(0)] }, { more: true });
    const loop = (async () => {
      for await (const _ of items);
    })();
    await expect(loop).rejects.toMatchObject({ code: 'SERIALIZATION' });
    expect(await worker.heard('withdraw')).toMatchObject({ id: invoked.frame.id });
    expect(client.objects.refs.find(id)).toBe(null);
  });
});
