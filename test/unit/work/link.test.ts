import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TwinkleError } from '../../../src/errors.js';
import { Link } from '../../../src/work/link.js';
import { until } from '../actors/played-client.js';
import { CLIENT, HELLO, PlayedNode } from './played-node.js';

let node: PlayedNode;
beforeEach(async () => {
  node = await PlayedNode.open();
});
afterEach(() => node.close());

function linked() {
  const told: unknown[] = [];
  const ended: TwinkleError[] = [];
  const link = new Link(connect(node.path), {
    told: (method, params, body) => told.push([method, params, Buffer.from(body).toString()]),
    ended: (error) => ended.push(error),
  });
  return { link, told, ended };
}

describe('a connection with the node service', () => {
  it('says who it is, asks and is answered in any order', async () => {
    const { link, ended } = linked();
    expect(await link.join(HELLO)).toMatchObject({ client: CLIENT, node: 'node-1' });
    expect(node.hello).toMatchObject({ t: 'join', ...HELLO });
    const first = link.ask('object.look', { id: '1' }, [Buffer.from('ab'), Buffer.from('c')]);
    const second = link.ask('object.look', { id: '2' });
    const [one, two] = [await node.asked('object.look'), await node.asked('object.look')];
    expect([one.params.id, two.params.id, one.body.toString()]).toEqual(['1', '2', 'abc']);
    node.answer(two, 'second');
    node.answer(one, ['first'], [Buffer.from('bytes')]);
    expect(await second).toEqual({ value: 'second', body: new Uint8Array(0) });
    expect(await first).toEqual({ value: ['first'], body: new Uint8Array(Buffer.from('bytes')) });
    link.close();
    expect(ended.map(({ message }) => message)).toEqual([
      'the connection with the node service ended: closed by this process',
    ]);
  });

  it('throws what is refused, with codes that are known', async () => {
    const { link } = linked();
    await link.join(HELLO);
    const [known, strange] = [link.ask('object.look', { id: '1' }), link.ask('object.look', { id: '2' })];
    node.refuse((await node.asked('object.look')).id, 'OBJECT_LOST', 'gone');
    node.refuse((await node.asked('object.look')).id, 'toString', 'what');
    await expect(known).rejects.toMatchObject({ code: 'OBJECT_LOST', message: 'gone' });
    await expect(strange).rejects.toMatchObject({ code: 'INTERNAL', message: 'what' });
    expect(link.over).toBe(null);
    link.close();
  });

  it('hears what it did not ask for, and tells', async () => {
    const { link, told } = linked();
    await link.join(HELLO);
    link.tell('object.drop', { ids: ['1.1'] }, [Buffer.from('body')]);
    expect(await node.told('object.drop')).toMatchObject({ params: { ids: ['1.1'] }, body: Buffer.from('body') });
    node.say('printed', { lines: ['x'] }, [Buffer.from('!')]);
    await until(() => told.length > 0);
    expect(told).toEqual([['printed', { lines: ['x'] }, '!']]);
    link.close();
  });

  it('withdraws a question, and takes its answer all the same', async () => {
    const { link } = linked();
    await link.join(HELLO);
    const control = new AbortController();
    const asked = link.ask('object.look', { id: '1' }, [], control.signal);
    const question = await node.asked('object.look');
    control.abort();
    await until(() => node.withdrawn.length > 0);
    expect(node.withdrawn).toEqual([question.id]);
    node.answer(question, 'it was on its way');
    expect(await asked).toMatchObject({ value: 'it was on its way' });
    link.close();
  });

  it('is refused', async () => {
    node.welcomes = false;
    const { link, ended } = linked();
    const joined = link.join(HELLO);
    await until(() => node.hello !== null);
    node.refuse(-1, 'PROTOCOL', 'another version');
    await expect(joined).rejects.toMatchObject({ code: 'PROTOCOL', message: 'another version' });
    node.leave();
    await expect(link.ask('object.look', { id: '1' })).rejects.toMatchObject({ code: 'PROTOCOL' });
    expect(ended).toHaveLength(1);
    link.close();
  });

  it('ends with every question, once', async () => {
    const { link, ended } = linked();
    await link.join(HELLO);
    const open = [link.ask('object.look', { id: '1' }), link.ask('object.look', { id: '2' })];
    await node.asked('object.look');
    node.leave();
    for (const one of open) await expect(one).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await expect(link.ask('object.look', { id: '3' })).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    link.tell('object.drop', { ids: [] }); // nothing happens
    expect(link.over).toBe(ended[0]);
    link.close();
    expect(ended).toHaveLength(1);
  });

  it('cannot be made where nobody listens', async () => {
    const link = new Link(connect(`${node.path}.other`), { told: () => {}, ended: () => {} });
    await expect(link.join(HELLO)).rejects.toMatchObject({
      code: 'HEAD_UNREACHABLE',
      message: expect.stringContaining('ENOENT'),
    });
  });
});
