import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NativeSegment } from '../../../src/native/types.js';
import type { WorkClient } from '../../../src/work/client.js';
import { NdArray } from '../../../src/work/nd-array.js';
import { ObjectRef } from '../../../src/work/refs.js';
import { native } from '../native/support.js';
import { cardOf, codeOf, joinedClient, PlayedHandle, PlayedNode, resultOf, settled, shapeOf } from './played-node.js';
import { packed, raised } from './played-worker.js';

const ID = '9.1';
let node: PlayedNode;
let client: WorkClient;
let segment: NativeSegment;
beforeEach(async () => {
  node = await PlayedNode.open();
  client = await joinedClient(node);
  segment = native.segmentCreate({ name: 'objects-test', size: 1024 * 1024, lock: false, register: 'none' });
  node.answers['slab.where'] = () => ({ pid: process.pid, fd: segment.fd, size: segment.size });
  node.answers['object.reserve'] = ({ bytes }) => ({ slab: 1, offset: 4096, size: bytes });
});
afterEach(async () => {
  client[Symbol.dispose]();
  segment.close();
  await node.close();
});

const call = () => client.submit(client.line(cardOf(ID)), shapeOf(), [], ID);
const read = async (ref: ObjectRef) => await resultOf(client, client.objects.slotOf(ref));
const put = async (value: unknown) => client.objects.refOf(await client.objects.put(value));
const opened = (value: unknown, refs: string[] = []) => {
  const { value: facts, parts } = packed(value);
  return { opened: { value: { ...facts, refs }, block: null }, parts };
};

describe('what is put', () => {
  it.each([[1], ['text'], [{ a: [1, null] }], [new NdArray(new Float64Array(100).fill(3), [10, 10])]])(
    'small, stays here: %s',
    async (value) => {
      const ref = await put(value);
      expect(await read(ref)).toEqual(value);
      expect([node.asks, node.tells]).toEqual([[], []]);
    },
  );

  it('is a copy, at both ends', async () => {
    const [array, bytes] = [new Float64Array(100), new Uint8Array(3)];
    const [first, second] = [await put(array), await put(bytes)];
    array[0] = 1;
    bytes[0] = 1;
    for (const ref of [first, second]) {
      const got = (await read(ref)) as NdArray | Uint8Array;
      const data = got instanceof NdArray ? got.data : got;
      expect(data[0]).toBe(0);
      data[0] = 2;
      const again = (await read(ref)) as NdArray | Uint8Array;
      expect((again instanceof NdArray ? again.data : again)[0]).toBe(0);
    }
  });

  it('large, is written to a slab and sealed', async () => {
    const inner = await put('inner');
    const array = Float32Array.from({ length: 5000 }, (_, at) => at);
    const ref = await put({ array, inner });
    const seal = (await node.told('object.seal')).params;
    expect(seal).toMatchObject({ id: ref.id, value: { f: 'msgpack', at: ref.id, refs: [inner.id] }, holders: [7] });
    expect(client.objects.slotOf(inner)).toMatchObject({ known: true, count: 2 });
    node.answers['object.open'] = () => [
      { value: { ...(seal.value as object), at: '' }, block: { slab: 1, offset: 4096, size: 20_480 } },
    ];
    const got = (await read(ref)) as { readonly array: NdArray; readonly inner: ObjectRef };
    expect(got.array).toEqual(new NdArray(array));
    expect(got.inner.id).toBe(inner.id);
    await settled(node, client);
    expect(node.tells).toEqual([]); // the array lies in the block: it is not closed
    ref[Symbol.dispose]();
    expect((await node.told('object.drop')).params).toEqual({ ids: [ref.id] });
  });

  it('is abandoned where it cannot be written', async () => {
    node.answers['slab.where'] = () => ({ pid: process.pid, fd: 9999, size: 1 });
    const before = client.objects.refs.size;
    await expect(put(new Uint8Array(10_000))).rejects.toMatchObject({ code: 'OBJECT_LOST' });
    expect((await node.asked('object.abandon')).params).toEqual({ id: expect.stringMatching(/^7\./) });
    expect(client.objects.refs.size).toBe(before);
    delete node.answers['object.reserve'];
    const full = put(new Uint8Array(10_000));
    node.refuse((await node.asked('object.reserve')).id, 'SHM_FULL');
    await expect(full).rejects.toMatchObject({ code: 'SHM_FULL' });
    expect(client.objects.refs.size).toBe(before);
  });

  it('is sealed for good before its reference is there, where another box counts; and abandoned when that refuses', async () => {
    node.more = { settle: true };
    using far = await joinedClient(node);
    let done = false;
    const putting = far.objects.put(new Uint8Array(10_000)).finally(() => {
      done = true;
    });
    const seal = await node.asked('object.seal');
    expect([seal.params.holders, node.tells, done]).toEqual([[7], [], false]);
    node.answer({ id: seal.id } as never, {});
    expect((await putting).known).toBe(true);
    const refused = far.objects.put(new Uint8Array(10_000));
    const { id, params } = await node.asked('object.seal');
    node.refuse(id, 'HEAD_UNREACHABLE');
    await expect(refused).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    expect((await node.asked('object.abandon')).params).toEqual({ id: params.id });
  });

  it('is no reference', async () => {
    await expect(put(await put(1))).rejects.toThrow('put the array that holds it');
  });
});

describe('references that leave', () => {
  it('are published with their values, or promised and fulfilled', async () => {
    const worker = await node.worker();
    const [known, later] = [await put('small'), client.objects.refOf(call())];
    delete node.answers['object.publish'];
    const outer = put([known, later, known]);
    const { id, params, body } = await node.asked('object.publish');
    expect(params).toMatchObject({ ids: [known.id, later.id], values: [{ f: 'msgpack', s: [6] }, null] });
    expect(body.toString('latin1')).toBe('\xa5small');
    node.answer({ id } as never, {});
    await outer;
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    (await worker.call()).reply('done');
    const fulfilled = await node.told('object.fulfil');
    expect(fulfilled).toMatchObject({ params: { ids: [later.id] }, body: Buffer.from('\xa4done', 'latin1') });
    await put([known, later]); // they are known
    expect(node.asks).toEqual([]);
  });

  it('are fulfilled and dropped when nobody here wants them any more', async () => {
    const worker = await node.worker();
    const slot = call();
    await client.objects.makeKnown([slot.id]);
    client.objects.release([slot.id]);
    node.actor({ id: ID, state: 'ALIVE', path: worker.path });
    (await worker.call()).fail('ValueError');
    expect((await node.told('object.drop')).params).toEqual({ ids: [slot.id] });
    expect((await node.told('object.fulfil')).params).toMatchObject({ ids: [slot.id], values: [{ f: 'error' }] });
    expect((await node.told('object.drop')).params).toEqual({ ids: [slot.id] });
  });

  it('leave nothing counted when the node refuses', async () => {
    delete node.answers['object.publish'];
    const inner = await put(1);
    const outer = put([inner]);
    node.refuse((await node.asked('object.publish')).id, 'OBJECT_LOST');
    await expect(outer).rejects.toMatchObject({ code: 'OBJECT_LOST' });
    expect(client.objects.slotOf(inner).count).toBe(1);
  });

  it('are what the program had when it called, though they wait', async () => {
    delete node.answers['object.publish'];
    const array = new Float64Array(100);
    const travelling = client.objects.prepare([array, await put(1)], 'args');
    const publish = await node.asked('object.publish');
    array[0] = 5;
    node.answer(publish, {});
    const { parts } = await travelling;
    expect(parts[1]?.every((byte) => byte === 0)).toBe(true);
  });
});

describe('references that come', () => {
  it('are held, asked for once, and dropped', async () => {
    delete node.answers['object.hold'];
    const slot = client.objects.borrow('3.1', false);
    client.objects.borrow('3.1', false);
    expect((await node.asked('object.hold')).params).toEqual({ ids: ['3.1'] });
    const [one, two] = [resultOf(client, slot), resultOf(client, slot)];
    const look = await node.asked('object.look');
    expect([look.params, node.asks]).toEqual([{ id: '3.1' }, []]);
    const { opened: answer, parts } = opened({ ref: 1 }, ['3.2']);
    node.answer(look, answer, parts);
    expect([await one, await two]).toEqual([{ ref: 1 }, { ref: 1 }]);
    expect((await node.asked('object.hold')).params).toEqual({ ids: ['3.2'] });
    client.objects.release(['3.1', '3.1']);
    expect((await node.told('object.drop')).params).toEqual({ ids: ['3.1'] });
    expect((await node.told('object.drop')).params).toEqual({ ids: ['3.2'] });
  });

  it('let go of what is inside when the value comes too late', async () => {
    const slot = client.objects.borrow('3.1', true);
    client.objects.fetch(slot);
    const look = await node.asked('object.look');
    client.objects.release(['3.1']);
    const { opened: answer, parts } = opened(1, ['3.2']);
    node.answer(look, answer, parts);
    await settled(node, client);
    expect(client.objects.refs.find('3.2')).toBe(null);
  });

  it('fail with what the node refuses, or what they are an error of', async () => {
    const [gone, failed] = [client.objects.borrow('3.1', true), client.objects.borrow('3.2', true)];
    const codes = [codeOf(client, gone), codeOf(client, failed)];
    node.refuse((await node.asked('object.look')).id, 'OBJECT_LOST');
    const { value, parts } = raised('KeyError', 'k');
    node.answer(await node.asked('object.look'), { value, block: null }, parts);
    expect(await Promise.all(codes)).toEqual(['OBJECT_LOST', 'TASK_FAILED']);
  });

  it('are handles and references again', async () => {
    const slot = await client.objects.put([
      new PlayedHandle('5.5'),
      client.objects.refOf(client.objects.borrow('3.3', true)),
    ]);
    client.objects.borrow('5.5', true);
    const read = (await resultOf(client, slot)) as [PlayedHandle, ObjectRef];
    expect(read[0]).toEqual(new PlayedHandle('5.5'));
    expect(read[1]).toBeInstanceOf(ObjectRef);
    expect(read[1].id).toBe('3.3');
  });
});

describe('a large value', () => {
  const sealed = (format: string, sizes: number[]) => {
    const slot = client.objects.borrow('3.1', true);
    slot.fulfil({ value: { f: format, s: sizes, at: '3.1', refs: [] }, body: new Uint8Array(0), keep: [] });
    node.answers['object.open'] = () => [
      { value: { f: format, s: sizes, at: '', refs: [] }, block: { slab: 1, offset: 4096, size: 8192 } },
    ];
    return slot;
  };

  it('of plain data is copied, and its block closed', async () => {
    const { parts } = packed({ text: 'x'.repeat(100), bytes: Uint8Array.of(1, 2, 3) });
    new Uint8Array(segment.buffer()).set(parts[0] as Uint8Array, 4096);
    const read = await resultOf(client, sealed('msgpack', [parts[0]?.byteLength ?? 0]));
    expect((await node.told('object.close')).params).toEqual({ ids: ['3.1'] });
    new Uint8Array(segment.buffer()).fill(0); // another's now
    expect(read).toEqual({ text: 'x'.repeat(100), bytes: Uint8Array.of(1, 2, 3) });
  });

  it('that cannot be read has its block closed', async () => {
    await expect(resultOf(client, sealed('pickle', [100]))).rejects.toMatchObject({ code: 'SERIALIZATION' });
    expect((await node.told('object.close')).params).toEqual({ ids: ['3.1'] });
  });

  it('of bytes lies where it is', async () => {
    const read = (await resultOf(client, sealed('raw', [8192]))) as Uint8Array;
    new Uint8Array(segment.buffer())[4096] = 77;
    expect(read[0]).toBe(77);
    await settled(node, client);
    expect(node.tells).toEqual([]);
  });
});
