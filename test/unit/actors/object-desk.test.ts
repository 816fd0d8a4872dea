import { describe, expect, it } from 'vitest';
import { ObjectDesk, SERVICE } from '../../../src/actors/object-desk.js';
import { SlabStore } from '../../../src/actors/slab-store.js';
import { createFakeNative } from '../../../src/native/fake.js';
import type { Opened } from '../../../src/protocol/work.js';
import { inline, until } from './played-client.js';

const A = 1;
const B = 2;
const NEVER = new AbortController().signal;

function setUp(capacity = 2 ** 20) {
  const slabs = new SlabStore(createFakeNative(), 'test', capacity, () => {});
  const desk = new ObjectDesk(slabs);
  for (const client of [A, B]) desk.joined(client);
  const used = (): number => desk.status().usedBytes;
  /** Written and sealed by A, held by A. */
  const put = (id: string, bytes = 1000): void => {
    void desk.reserve(A, { id, bytes }, NEVER);
    desk.seal(A, { id, value: { f: 'pickle', s: [bytes], at: id, refs: [] }, holders: [A] });
  };
  const read = async (client: number, ...ids: string[]) => {
    const { value, body } = await desk.open(client, { ids }, NEVER);
    return { opened: value as Opened[], body: Buffer.concat(body).toString() };
  };
  return { desk, used, put, read };
}
const code = (name: string, message = /./) =>
  expect.objectContaining({ code: name, message: expect.stringMatching(message) });

describe('large objects', () => {
  it('are read where they were written, and their room is free after the last holder and view', async () => {
    const { desk, used, put, read } = setUp();
    put('1.1');
    const { opened } = await read(B, '1.1');
    expect(opened).toEqual([
      { value: { f: 'pickle', s: [1000], at: '1.1', refs: [] }, block: { slab: 0, offset: 0, size: 1000 } },
    ]);
    desk.drop(A, { ids: ['1.1'] });
    expect(used()).toBe(1024);
    desk.close(B, { ids: ['1.1'] });
    expect(used()).toBe(0);
    await expect(read(B, '1.1')).rejects.toEqual(code('OBJECT_LOST'));
  });

  it('give their room back when they are abandoned, and can be reserved anew', () => {
    const { desk, used, put } = setUp();
    void desk.reserve(A, { id: '1.1', bytes: 1000 }, NEVER);
    desk.abandon(B, '1.1');
    expect(used()).toBe(1024);
    desk.abandon(A, '1.1');
    desk.abandon(A, '1.1');
    expect([used(), desk.status().objects]).toEqual([0, 0]);
    expect(() => desk.seal(A, { id: '1.1', value: inline(1), holders: [A] })).toThrow(
      code('INVALID_REQUEST', /reserved/),
    );
    put('1.1');
    expect(used()).toBe(1024);
  });

  it('that are abandoned are lost for who waits for them', async () => {
    const { desk, read } = setUp();
    void desk.reserve(A, { id: '1.1', bytes: 1000 }, NEVER);
    const waiting = expect(read(B, '1.1')).rejects.toEqual(code('OBJECT_LOST', /never written/));
    desk.abandon(A, '1.1');
    await waiting;
  });

  it('are refused without room, with too many bytes for it, and twice', () => {
    const { desk, used } = setUp();
    const seal = (s: number[]) =>
      desk.seal(A, { id: '1.1', value: { f: 'raw', s, at: '1.1', refs: [] }, holders: [A] });
    expect(() => seal([1])).toThrow(code('INVALID_REQUEST'));
    void desk.reserve(A, { id: '1.1', bytes: 128 }, NEVER);
    expect(() => desk.reserve(A, { id: '1.1', bytes: 128 }, NEVER)).toThrow(code('INVALID_REQUEST'));
    expect(used()).toBe(128);
    expect(() => seal([65, 1])).toThrow(code('INVALID_REQUEST', /at most 128 bytes/)); // the second part begins at 128
    expect(() => seal([-1])).toThrow(code('INVALID_REQUEST'));
    seal([64, 64]);
    expect(() => seal([64])).toThrow(code('INVALID_REQUEST'));
    expect(() => desk.reserve(A, { id: '1.2', bytes: 0 }, NEVER)).toThrow(code('INVALID_REQUEST'));
    expect(() => desk.reserve(A, { id: '1.2', bytes: 2 ** 21 }, NEVER)).toThrow(code('SHM_FULL'));
    expect(desk.status().objects).toBe(1);
  });

  it('stay reserved when they are sealed with references to nothing, so that they can be abandoned', () => {
    const { desk, used } = setUp();
    void desk.reserve(A, { id: '1.1', bytes: 64 }, NEVER);
    const value = { f: 'raw', s: [1], at: '1.1', refs: ['9.9'] };
    expect(() => desk.seal(A, { id: '1.1', value, holders: [A] })).toThrow(code('PROTOCOL'));
    desk.abandon(A, '1.1');
    expect(used()).toBe(0);
  });

  it('that somebody wrote for nothing are freed with the writer', () => {
    const { desk, used } = setUp();
    void desk.reserve(A, { id: '1.1', bytes: 64 }, NEVER);
    desk.gone(A);
    expect([used(), desk.status().objects]).toEqual([0, 0]);
  });
});

describe('small objects', () => {
  it('are published together: bytes one after another, promises, and what lies with the node', async () => {
    const { desk, put, read } = setUp();
    put('1.3');
    const large = { f: 'pickle', s: [1000], at: '1.3', refs: [] };
    const body = Buffer.from('abcde');
    desk.publish(A, { ids: ['1.1', '1.2', '1.3', '1.4'], values: [inline(2), null, large, inline(3)] }, body);
    body.fill(0); // what was received is shared with other frames
    const { opened, body: bytes } = await read(B, '1.1', '1.3', '1.4');
    expect([bytes, opened.map(({ block }) => block !== null)]).toEqual(['abcde', [false, true, false]]);
    const waiting = read(B, '1.2');
    desk.publish(A, { ids: ['1.2'], values: [inline(1)] }, Buffer.from('x'));
    expect((await waiting).body).toBe('x');
  });

  it.each<[string, Parameters<ObjectDesk['publish']>[1], string, string]>([
    ['more ids than values', { ids: ['1.1', '1.2'], values: [null] }, '', 'INVALID_REQUEST'],
    ['a body that is too short', { ids: ['1.1'], values: [inline(2)] }, 'a', 'INVALID_REQUEST'],
    ['a body that is too long', { ids: ['1.1'], values: [inline(2)] }, 'abc', 'INVALID_REQUEST'],
    [
      'sizes below zero',
      { ids: ['1.1'], values: [{ f: 'raw', s: [2, -1], at: '', refs: [] }] },
      'a',
      'INVALID_REQUEST',
    ],
    [
      'the bytes of another',
      { ids: ['1.1'], values: [{ f: 'raw', s: [2], at: '1.2', refs: [] }] },
      '',
      'INVALID_REQUEST',
    ],
    [
      'bytes that lie nowhere',
      { ids: ['1.1'], values: [{ f: 'raw', s: [2], at: '1.1', refs: [] }] },
      '',
      'OBJECT_LOST',
    ],
  ])('are refused with %s', (_what, params, body, refused) => {
    const { desk } = setUp();
    expect(() => desk.publish(A, params, Buffer.from(body))).toThrow(code(refused));
    expect(desk.status().objects).toBe(0);
  });
});

describe('waiting for a value', () => {
  it('ends by the signal, and what was open before it is closed', async () => {
    const { desk, put, used } = setUp();
    put('1.1');
    desk.publish(A, { ids: ['1.2'], values: [null] }, Buffer.alloc(0));
    const withdrawn = new AbortController();
    const waiting = desk.open(B, { ids: ['1.1', '1.2'] }, withdrawn.signal);
    const refused = expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await until(() => desk.list().some(({ waiters }) => waiters > 0));
    expect(desk.list().map(({ opens, waiters }) => [opens, waiters])).toEqual([
      [1, 0],
      [0, 1],
    ]);
    withdrawn.abort();
    await refused;
    expect(desk.list().map(({ opens, waiters }) => [opens, waiters])).toEqual([
      [0, 0],
      [0, 0],
    ]);
    desk.drop(A, { ids: ['1.1'] });
    expect(used()).toBe(0);
  });

  it('ends by the signal also when its client has gone before', async () => {
    const { desk } = setUp();
    desk.publish(A, { ids: ['1.1'], values: [null] }, Buffer.alloc(0));
    const withdrawn = new AbortController();
    const refused = expect(desk.open(B, { ids: ['1.1'] }, withdrawn.signal)).rejects.toMatchObject({
      name: 'AbortError',
    });
    desk.gone(B);
    withdrawn.abort();
    await refused;
    expect(desk.list()[0]?.waiters).toBe(0);
  });

  it('ends when its owner does', async () => {
    const { desk, read } = setUp();
    desk.publish(A, { ids: ['1.1'], values: [null] }, Buffer.alloc(0));
    const refused = expect(read(B, '1.1')).rejects.toEqual(code('OBJECT_LOST', /client 1, ended/));
    desk.gone(A);
    await refused;
  });
});

describe('a value that only who waits for it keeps', () => {
  it('is answered when it is small, and lost when it lies in a block', async () => {
    const { desk, read, used } = setUp();
    for (const id of ['1.1', '1.2']) desk.reserve(A, { id, bytes: 64 }, NEVER);
    const [small, large] = [read(B, '1.1'), expect(read(B, '1.2')).rejects.toEqual(code('OBJECT_LOST'))];
    desk.publish(A, { ids: ['1.1'], values: [inline(1)] }, Buffer.from('x'));
    desk.drop(A, { ids: ['1.1'] });
    desk.abandon(A, '1.1');
    desk.seal(A, { id: '1.2', value: { f: 'raw', s: [64], at: '1.2', refs: [] }, holders: [] });
    expect((await small).body).toBe('x');
    await large;
    expect([used(), desk.status().objects]).toEqual([0, 0]);
  });
});

describe('what objects stand for', () => {
  it('ends once nobody holds it, not before, and not within the call', async () => {
    const { desk, read } = setUp();
    let ends = 0;
    desk.represent(A, '1.1', [], () => ends++);
    expect((await read(B, '1.1')).opened[0]?.block).toBeNull(); // whoever looks sees nothing
    desk.hold(B, { ids: ['1.1'] });
    desk.drop(A, { ids: ['1.1'] });
    await Promise.resolve();
    expect([ends, desk.knows('1.1')]).toEqual([0, true]);
    desk.drop(B, { ids: ['1.1'] });
    expect([ends, desk.knows('1.1')]).toEqual([0, false]);
    await Promise.resolve();
    expect(ends).toBe(1);
  });

  it('keeps what it refers to, and is refused for an id that is taken or references to nothing', async () => {
    const { desk, put, used } = setUp();
    put('1.1');
    let ends = 0;
    const represent = (id: string, refs: string[]) => desk.represent(SERVICE, id, refs, () => ends++);
    expect(() => represent('1.1', [])).toThrow(code('INVALID_REQUEST'));
    expect(() => represent('1.2', ['9.9'])).toThrow(code('PROTOCOL'));
    await Promise.resolve();
    expect([ends, desk.knows('1.2')]).toEqual([0, false]);
    represent('1.2', ['1.1']);
    desk.drop(A, { ids: ['1.1'] });
    expect(used()).toBe(1024);
    desk.drop(SERVICE, { ids: ['1.2'] });
    await Promise.resolve();
    expect([ends, used()]).toEqual([1, 0]);
  });
});
