import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Keywords, WorkClient } from '../../../src/work/client.js';
import { until } from '../actors/played-client.js';
import { native } from '../native/support.js';
import {
  CLIENT,
  cardOf,
  codeOf,
  DEMAND,
  HELLO,
  joinedClient,
  PlayedNode,
  resultOf,
  settled,
  shapeOf,
} from './played-node.js';

const ID = '9.1';
let node: PlayedNode;
let client: WorkClient;
beforeEach(async () => {
  node = await PlayedNode.open();
});
afterEach(async () => {
  client?.[Symbol.dispose]();
  await node.close();
});

const call = (args: readonly unknown[] = []) => client.submit(client.line(cardOf(ID)), shapeOf(), args, ID);

describe('a client', () => {
  it('says who it is, and is called what the node says', async () => {
    client = await joinedClient(node);
    expect([client.node, client.namespace, client.objects.newId()]).toEqual(['node-1', 'here', `${CLIENT}.0`]);
    expect(node.hello).toMatchObject(HELLO);
  });

  it('hears what is told in one breath with its welcome', async () => {
    node.welcomes = false;
    const heard: unknown[] = [];
    const joining = joinedClient(node, { printed: (said) => heard.push(said) });
    await until(() => node.hello !== null);
    node.welcome();
    node.say('printed', { name: 'a', lines: ['x'], error: false, pid: 1 });
    node.say('report', { token: 5 });
    client = await joining;
    expect(await node.told('report')).toMatchObject({ params: { token: 5, calls: [] } });
    expect(heard).toEqual([{ name: 'a', lines: ['x'], error: false, pid: 1 }]);
  });

  it('cannot join where it is refused', async () => {
    node.welcomes = false;
    const joining = WorkClient.join(connect(node.path), HELLO, {
      ...{ native, namespace: '', printed: () => {}, cardOf: () => null, handleOf: () => null },
    });
    await until(() => node.hello !== null);
    node.refuse(-1, 'DRAINING', 'it ends');
    await expect(joining).rejects.toMatchObject({ code: 'DRAINING', message: 'it ends' });
  });

  it('calls with positional arguments, and keywords last', async () => {
    client = await joinedClient(node);
    const worker = await node.worker();
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    const first = call([1, { a: 2 }]);
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    expect((await worker.call()).args).toEqual([1, { a: 2 }]);
    const second = call([1, new Keywords({ k: client.objects.refOf(first) })]);
    await settled(node, client);
    expect(worker.invoked).toEqual([]); // it waits for the reference among its keywords
    client.cancel(second, false, true);
    expect(await codeOf(client, second)).toBe('ABORTED');
  });

  it('refuses to call with what cannot travel, and counts nothing for it', async () => {
    client = await joinedClient(node);
    const ref = client.objects.refOf(await client.objects.put(1));
    const before = client.objects.refs.size;
    expect(() => call([[ref], ref, () => 1])).toThrow('cannot send `args[0][2]`: it is a function');
    expect(client.objects.refs.size).toBe(before);
    expect(client.objects.refs.find(ref.id)?.count).toBe(1);
  });

  it('lets go of the arguments of a call that is over', async () => {
    client = await joinedClient(node);
    const worker = await node.worker();
    const ref = client.objects.refOf(await client.objects.put('value'));
    const slot = call([ref, [ref]]);
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    const invoked = await worker.call();
    expect(client.objects.refs.find(ref.id)?.count).toBe(3);
    invoked.reply(1);
    await client.whenDone([slot], 1);
    expect(client.objects.refs.find(ref.id)?.count).toBe(1);
  });

  it('lets go of arguments that are ready when their call was cancelled', async () => {
    client = await joinedClient(node);
    delete node.answers['object.publish'];
    const ref = client.objects.refOf(await client.objects.put('value'));
    const slot = call([[ref]]);
    const publish = await node.asked('object.publish');
    client.cancel(slot, false, true);
    expect(await codeOf(client, slot)).toBe('ABORTED');
    node.answer(publish, {});
    await until(() => client.objects.refs.find(ref.id)?.count === 1);
  });

  it('makes an actor, whose constructor asks for references itself', async () => {
    client = await joinedClient(node);
    const ref = client.objects.refOf(await client.objects.put('value'));
    const spec = {
      ...{ cls: 'file:/a.py:A', cls_name: 'A', methods: {}, name: '', namespace: 'here', detached: false },
      ...{ get_if_exists: false, max_restarts: 0, max_task_retries: 0, max_concurrency: 0, groups: {}, demand: DEMAND },
    };
    const made = client.createActor(spec, [ref]);
    const asked = await node.asked('actor.create');
    expect(asked.params).toMatchObject({ cls: 'file:/a.py:A', args: { f: 'msgpack', refs: [ref.id] } });
    expect(asked.body.includes(ref.id)).toBe(true);
    expect(client.objects.refs.find(ref.id)?.count).toBe(2);
    node.answer(asked, cardOf('7.5'));
    expect(await made).toMatchObject({ id: '7.5' });
    expect(client.objects.refs.find(ref.id)?.count).toBe(1);
    const refused = client.createActor(spec, [ref]);
    node.refuse((await node.asked('actor.create')).id, 'ACTOR_NAME_TAKEN');
    await expect(refused).rejects.toMatchObject({ code: 'ACTOR_NAME_TAKEN' });
    expect(client.objects.refs.find(ref.id)?.count).toBe(1);
  });

  it('waits for as many as are wanted, or until its signal', async () => {
    client = await joinedClient(node);
    const worker = await node.worker();
    const slots = [call(), call(), call()];
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    const two = client.whenDone(slots, 2);
    const control = new AbortController();
    const all = client.whenDone(slots, 3, control.signal);
    (await worker.call()).reply(1);
    await worker.call();
    (await worker.call()).reply(3);
    await two;
    expect(slots.map(({ done }) => done)).toEqual([true, false, true]);
    control.abort(new Error('enough'));
    await expect(all).rejects.toThrow('enough');
    await expect(client.whenDone(slots, 1, control.signal)).rejects.toThrow('enough');
    await client.whenDone(slots, 2);
  });

  it('reports what it has called, up to 10,000 of them', async () => {
    client = await joinedClient(node);
    const worker = await node.worker();
    const runs = client.submit(client.lane(DEMAND), shapeOf({ where: 'work' }), [], null);
    node.lease(await node.asked('lease'), 1, worker);
    await worker.call();
    const waits = call();
    node.say('report', { token: 3 });
    expect((await node.told('report')).params).toEqual({
      token: 3,
      calls: [
        { ...{ id: runs.id, name: 'work', kind: 'task', state: 'RUNNING', worker: 101 }, since: expect.any(Number) },
        {
          ...{ id: waits.id, name: 'Counter.go', kind: 'actor', state: 'WAITING' },
          worker: null,
          since: expect.any(Number),
        },
      ],
    });
    for (let at = 0; at < 10_005; at++) call();
    node.say('report', { token: 4 });
    const { params } = await node.told('report');
    expect((params.calls as unknown[]).length).toBe(10_000);
    expect(params.more).toBe(7);
  });

  it('tells that it keeps nothing open, and forgets slabs', async () => {
    client = await joinedClient(node);
    node.say('object.let-go', { token: 8, collect: false });
    expect((await node.told('object.let-go')).params).toEqual({ token: 8 });
    node.say('slab.gone', { slab: 3 });
    node.say('something new', {});
    await settled(node, client);
  });

  it('leaves: what it waits for fails, and nothing can be called', async () => {
    client = await joinedClient(node);
    const waits = call();
    const done = resultOf(client, waits);
    client[Symbol.dispose]();
    client[Symbol.dispose]();
    await expect(done).rejects.toMatchObject({
      code: 'HEAD_UNREACHABLE',
      message: expect.stringContaining('closed by'),
    });
    expect(() => call()).toThrow(expect.objectContaining({ code: 'HEAD_UNREACHABLE' }));
    await expect(client.objects.put(new Uint8Array(10_000))).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
  });
});
