import { afterEach, beforeEach, expect, it } from 'vitest';
import type { WorkClient } from '../../../src/work/client.js';
import { ActorHandle, type AnyMethods, handleOf } from '../../../src/work/handle.js';
import { cardOf, joinedClient, PlayedNode, shapeOf } from './played-node.js';

let nodes: PlayedNode[];
let clients: WorkClient[];
beforeEach(async () => {
  nodes = [await PlayedNode.open(), await PlayedNode.open()];
  clients = [];
  for (const node of nodes) {
    const made: WorkClient = await joinedClient(node, {
      cardOf: (value) => (value instanceof ActorHandle ? value.cardFor(made) : null),
      handleOf: (card) => handleOf(made, card, false),
    });
    clients.push(made);
  }
});
afterEach(async () => {
  for (const client of clients) client[Symbol.dispose]();
  for (const node of nodes) await node.close();
});

const pair = () => clients as [WorkClient, WorkClient];

it('a handle travels inside of values, and comes as a handle', async () => {
  const [client] = pair();
  const handle = handleOf<AnyMethods>(client, { ...cardOf('3.1'), name: 'joe' }, true);
  const slot = await client.objects.put({ handle });
  const read = (await client.objects.valueOf(slot.stored as never)) as { readonly handle: ActorHandle };
  expect([read.handle.id, read.handle.name, read.handle.className]).toEqual(['3.1', 'joe', 'Counter']);
  expect(client.objects.refs.find('3.1')?.count).toBe(3);
  handle[Symbol.dispose]();
  handle[Symbol.dispose]();
  expect(client.objects.refs.find('3.1')?.count).toBe(2);
});

it('a handle that was disposed of, or is of another runtime, goes nowhere and calls nothing', async () => {
  const [client, other] = pair();
  const handle = handleOf<AnyMethods>(client, cardOf('3.1'), true);
  const refused = (message: string) => ({ code: 'INVALID_REQUEST', message });
  await expect(other.objects.put([handle])).rejects.toMatchObject(refused('the reference 3.1 is of another runtime'));
  handle[Symbol.dispose]();
  await expect(client.objects.put([handle])).rejects.toMatchObject(refused('the reference 3.1 was disposed of'));
  expect(() => handle.remote('go')).toThrow('the reference 3.1 was disposed of');
  expect([client.objects.refs.size, other.objects.refs.size]).toEqual([0, 0]);
});

it('references of another runtime are refused as arguments, too', async () => {
  const [client, other] = pair();
  const ref = other.objects.refOf(await other.objects.put(1));
  expect(() => client.submit(client.line(cardOf('3.1')), shapeOf(), [ref], '3.1')).toThrow('is of another runtime');
  expect(() => client.submit(client.line(cardOf('3.1')), shapeOf(), [[ref]], '3.1')).toThrow('is of another runtime');
  expect(client.objects.refs.size).toBe(0);
});

it('a call that waits behind too many is refused', () => {
  const [client] = pair();
  const handle = handleOf<AnyMethods>(client, cardOf('3.1'), true, 2);
  handle.remote('go');
  handle.remote('go');
  expect(() => handle.remote('go')).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
});
