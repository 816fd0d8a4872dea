/** Values between Node and Python: references, handles, arrays in shared memory, what cannot travel, and that all of it is given back. */
import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Keywords, NdArray, type ObjectRef } from '../../src/index.js';
import type { ActorHandle } from '../../src/work/handle.js';
import type { Runtime } from '../../src/work/runtime.js';
import { isAlive, killProcess } from '../support/gang-kit.js';
import { eventually, WorkBox } from '../support/work-box.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

let box: WorkBox;
let runtime: Runtime;
let before: { readonly objects: number; readonly actors: number };
const left = async () => {
  const { store, actors } = await box.work();
  return { objects: store.objects, actors, bytes: store.usedBytes };
};
beforeAll(async () => {
  box = await WorkBox.open();
  runtime = box.runtime;
});
beforeEach(async () => {
  collect();
  before = await left();
});
afterAll(() => box[Symbol.asyncDispose]());

/** The objects and actors of the test are gone: what nobody holds, the collector lets go of. */
const nothingLeft = () =>
  eventually(async () => {
    collect();
    const now = await left();
    return now.objects <= before.objects && now.actors <= before.actors && now.bytes === 0;
  });

// biome-ignore lint/suspicious/noExplicitAny: what Python takes and gives is what the test is about
type Any = Record<string, (...args: any[]) => any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
const task = (name: string) => runtime.task<(...args: any[]) => any>(`behaviour.py:${name}`);
const make = (cls: string, ...args: unknown[]) => runtime.actor<Any>(`behaviour.py:${cls}`).create(...args);
const caught = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: Error) => error,
  );
/** Shared memory that this process reads as its own. */
const mapped = () =>
  readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => /rw-p .*memfd:/.test(line)).length;

describe('references', () => {
  it('inside of arrays and objects stay references, and are opened over there', async () => {
    using small = await runtime.put({ a: [1, null, 'x'] });
    using large = await runtime.put(new Float64Array(50_000).fill(2));
    using result = task('add').remote(20, 22);
    const opened = await task('open_all').call({ small, more: [result, [large]] });
    expect(opened).toMatchObject({ small: { a: [1, null, 'x'] }, more: [42, [{ shape: [50_000], dtype: 'float64' }]] });
  });

  it('inside of results can be read here, also when their worker is gone', async () => {
    const bytes = new Uint8Array(300_000).fill(5);
    const { first, others } = await task('put_all').call(bytes, 'text', 1.5);
    await eventually(async () => (await box.work()).leases === 0);
    const read = await runtime.get(first as ObjectRef<Uint8Array>);
    expect(bytes.every((byte, at) => byte === read[at])).toBe(true);
    expect(await runtime.get(others)).toEqual(['text', 1.5]);
  });

  it('to arrays that Python put can be read here, large and small', async () => {
    const values = [new Float32Array(50_000).fill(2), new NdArray(new Float64Array([1, 2, 3, 4]), [2, 2])];
    const { first, others } = await task('put_all').call(...values);
    const large = await runtime.get(first as ObjectRef<NdArray>);
    expect(large).toMatchObject({ shape: [50_000], dtype: 'float32' });
    expect(Number(large.data[49_999])).toBe(2);
    expect(await runtime.get(others)).toEqual([values[1]]);
  });

  it('to what Python pickled are refused with what to do, which works', async () => {
    const [ref] = (await task('put_tuple').call()) as [ObjectRef];
    const error = await caught(runtime.get(ref));
    expect(error).toMatchObject({ code: 'SERIALIZATION', message: expect.stringContaining('Python pickle') });
    expect(await task('first_of').call(ref)).toBe(1);
    const result = await caught(task('give_tuple').call());
    expect(result.code).toBe('SERIALIZATION');
    expect(result.message).toContain('make it a list');
  });

  it('are let go of by who disposes of them, or when nobody has them', async () => {
    const ref = await runtime.put(new Float64Array(50_000));
    await runtime.put(new Float64Array(50_000)); // nobody takes it
    ref[Symbol.dispose]();
    ref[Symbol.dispose]();
    await nothingLeft();
    expect((await caught(runtime.get(ref))).message).toContain('was disposed of');
    const other = await box.join();
    using here = await runtime.put(1);
    expect((await caught(other.get(here))).message).toContain('of another runtime');
    await other[Symbol.asyncDispose]();
  });

  it('that hold each other through an actor go when it does', async () => {
    let maker: ActorHandle<Any> | null = await make('Maker');
    const pid = await maker.call('pid');
    let inner: ObjectRef | null = await runtime.put([maker, new Float64Array(50_000)]);
    let outer: ObjectRef | null = await runtime.put([inner]);
    await maker.call('keep', [outer, maker]);
    const loop: unknown[] = [inner, outer];
    loop.push(loop); // a cycle here is the collector's
    await maker.call('forget');
    [maker, inner, outer] = [null, null, null];
    loop.length = 0;
    await nothingLeft();
    expect(isAlive(pid as number)).toBe(false);
  });
});

describe('waiting', () => {
  it('for values ends by time or by signal, and the call goes on', async () => {
    const gate = box.path();
    const refs = [task('until').remote(gate, 1), task('add').remote(1, 1), task('until').remote(gate, 3)];
    const late = await caught(runtime.get(refs, { timeoutMs: 30 }));
    expect(late).toMatchObject({ code: 'DEADLINE_EXCEEDED', message: expect.stringMatching(/^[23] of 3 values/) });
    expect((await caught(runtime.get(refs[0] as ObjectRef, { timeoutMs: 0 }))).code).toBe('DEADLINE_EXCEEDED');
    const signal = AbortSignal.timeout(20);
    expect(await caught(runtime.get(refs, { signal, timeoutMs: 60_000 }))).toBe(signal.reason);
    expect(await caught(runtime.wait(refs, { signal }))).toBe(signal.reason);
    const { ready, pending } = await runtime.wait(refs);
    expect([ready, pending]).toEqual([[refs[1]], [refs[0], refs[2]]]);
    expect((await runtime.wait(refs, { count: 3, timeoutMs: 20 })).ready).toEqual([refs[1]]);
    expect((await caught(runtime.wait(refs, { count: 4 }))).message).toContain('from 1 to 3 for `count`');
    box.touch(gate);
    expect(await runtime.get(refs)).toEqual([1, 2, 3]);
    expect((await runtime.wait(refs, { count: 2 })).pending).toEqual([refs[2]]);
    for (const ref of refs) ref[Symbol.dispose]();
  });

  it('counts errors as there, and get throws the first', async () => {
    const refs = [task('add').remote(1), task('fail').remote('one'), task('fail').remote('two')];
    expect((await runtime.wait(refs, { count: 3 })).pending).toEqual([]);
    expect(await caught(runtime.get(refs))).toMatchObject({ remoteMessage: 'one' });
  });
});

describe('actors', () => {
  it('made here are called in Python with the handle, and those made there from here', async () => {
    using notes = await make('Notes');
    expect(await task('relay').call(notes, 'add', 'from a task')).toBe('from a task');
    expect(await task('relay_items').call(notes, 'items', 3)).toEqual([0, 1, 2]);
    using maker = await make('Maker');
    await maker.call('keep', notes);
    expect(await maker.call('call_kept', 'all')).toEqual(['from a task']);
    const [made] = (await maker.call('make', 'first')) as [ActorHandle<Any>];
    expect([made.className, await made.call('all')]).toEqual(['Notes', ['first']]);
    expect((await caught(made.call('items', 2))).message).toContain('stream()');
    const pid = await made.call('pid');
    made[Symbol.dispose]();
    await eventually(() => !isAlive(pid as number));
  });
});

describe('data', () => {
  it('goes both ways as it is', async () => {
    const plain = [null, true, -1, 2 ** 40, 1.5, 'Grüße 🌍', [[]], { a: { b: [1] } }, 2n ** 63n];
    expect(await task('echo').call(...plain, new Keywords({ named: 'x' }))).toEqual([plain, { named: 'x' }]);
    expect(await task('echo').call(Buffer.from('bytes'))).toEqual([[new Uint8Array(Buffer.from('bytes'))], {}]);
    const sent = [1, 1.5, 'x', [1], {}, Buffer.from('b'), new Float32Array(2), true, null];
    const types = ['int', 'float', 'str', 'list', 'dict', 'bytes', 'ndarray', 'bool', 'NoneType'];
    expect(await task('kinds').call(...sent, new Keywords({ k: 5n }))).toEqual([types, { k: 'int' }]);
  });

  it('in arrays has its type and shape, small and large', async () => {
    const all = (await task('arrays').call()) as Record<string, NdArray>;
    for (const [dtype, array] of Object.entries(all)) {
      expect([array.dtype, array.shape, array.data.length]).toEqual([dtype, [2, 3], 6]);
    }
    expect([...(all.int64?.data ?? [])]).toEqual([0n, 1n, 2n, 3n, 4n, 5n]);
    const large = Object.fromEntries(
      Object.entries(all).map(([dtype, { data }]) => [
        dtype,
        new NdArray(repeated(data), [6, 2_000], dtype as NdArray['dtype']),
      ]),
    );
    expect(await task('echo').call(large)).toEqual([[large], {}]);
  });

  it('in large arrays is mapped, not copied: what is written stays here; it is given back when it is collected', async () => {
    const seen = mapped();
    const look = async () => {
      const ref = task('zeros').remote(1_000_000);
      const [array, again] = (await runtime.get([ref, ref])) as [NdArray, NdArray];
      expect(mapped()).toBeGreaterThan(seen);
      (array.data as Float32Array).fill(7);
      expect([again.data[999_999], ((await runtime.get(ref)) as NdArray).data[0]]).toEqual([0, 0]);
      expect(await task('total').call(ref)).toBe(0);
      expect(await task('is_writable').call(ref)).toBe(false);
      ref[Symbol.dispose]();
      expect([array.data[5], again.data[5]]).toEqual([7, 0]); // longer than the reference
      expect((await left()).bytes).toBeGreaterThan(0);
    };
    await look();
    await nothingLeft();
    await eventually(() => mapped() <= seen);
    const mine = new Float32Array(1_000_000).fill(1);
    using kept = await runtime.put(mine);
    mine.fill(9);
    expect(await task('total').call(kept)).toBe(1_000_000);
  });
});

describe('what nobody wants any more', () => {
  it('of a stream that was stopped early, is given back', async () => {
    const look = async () => {
      for await (const item of task('items').stream(20, 500_000)) {
        expect((item as NdArray).shape).toEqual([500_000]);
        break;
      }
    };
    await look();
    await nothingLeft();
  });

  it('of calls that were cancelled, arguments and results, is given back', async () => {
    const gate = box.path();
    using notes = await make('Notes');
    const blocks = notes.remote('until', gate);
    const refs = Array.from({ length: 10 }, () => notes.remote('size_of', new Float64Array(50_000)));
    refs.push(...Array.from({ length: 5 }, () => notes.remote('large', 100_000)));
    runtime.cancel(refs[0] as ObjectRef); // its argument is still on its way to the store
    await eventually(async () => (await left()).bytes > 9 * 400_000);
    for (const ref of refs.slice(1, 12)) runtime.cancel(ref);
    for (const ref of refs) ref[Symbol.dispose]();
    box.touch(gate);
    await runtime.get(blocks);
    blocks[Symbol.dispose]();
    notes[Symbol.dispose]();
    await nothingLeft();
  });
});

describe('what cannot travel', () => {
  it('is refused with its place, wherever it is, and leaves nothing', async () => {
    using notes = await make('Notes');
    const bad = [new Float64Array(50_000), { lock: () => 1 }];
    const self: unknown[] = [];
    self.push(self);
    expect(() => notes.remote('add', ...bad)).toThrow('args[0][1].lock');
    expect((await caught(notes.call('add', bad))).code).toBe('SERIALIZATION');
    expect((await caught(runtime.put(bad))).message).toContain('`value[1].lock`');
    expect((await caught(make('Notes', bad))).code).toBe('SERIALIZATION');
    expect((await caught(runtime.put(self))).message).toContain('holds itself');
    for (const value of [new Date(), new Set(), Promise.resolve(), Symbol('s'), 2n ** 64n, '\ud800']) {
      expect((await caught(task('echo').call(value))).code).toBe('SERIALIZATION');
    }
    expect(await notes.call('all')).toEqual([]);
    notes[Symbol.dispose]();
    await nothingLeft();
  });

  it('ten thousand calls of a dead actor are errors, and their memory is given back', async () => {
    const keep = await make('Notes');
    const pid = (await keep.call('pid')) as number;
    const [shared, own] = [await runtime.put(new Float64Array(50_000)), new Float64Array(50_000)];
    killProcess(pid, 'SIGSTOP');
    const refs = Array.from({ length: 9_900 }, () => keep.remote('size_of', shared));
    for (let at = 0; at < 100; at++) refs.push(keep.remote('size_of', own)); // each with a copy in the store
    await eventually(async () => (await left()).bytes > 100 * 400_000);
    for (let at = 0; at < 3; at++) await runtime.snapshot(); // all that was asked for the copies has been answered by now
    await keep.kill();
    for (let at = 0; at < 100; at++) refs.push(keep.remote('pid'));
    const codes = await Promise.all(refs.map(async (ref) => (await caught(runtime.get(ref))).code));
    expect(codes).toEqual(Array(10_100).fill('ACTOR_DIED'));
    for (const ref of [...refs, shared]) ref[Symbol.dispose]();
    keep[Symbol.dispose]();
    await nothingLeft();
  });
});

function repeated<T extends NdArray['data']>(data: T): T {
  const many = new (data.constructor as new (length: number) => T)(12_000);
  for (let at = 0; at < many.length; at++) many[at] = data[at % data.length] as never;
  return many;
}
