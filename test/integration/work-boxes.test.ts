/** Actors, tasks and objects from Node where there are two boxes: from each of them, with what runs on the other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ActorHandle, NdArray } from '../../src/index.js';
import { Keywords } from '../../src/work/client.js';
import type { Runtime } from '../../src/work/runtime.js';
import { runCli } from '../support/cli.js';
import { isAlive } from '../support/gang-kit.js';
import { eventually } from '../support/work-box.js';
import { type Bound, WorkBoxes } from '../support/work-boxes.js';

let boxes: WorkBoxes;
beforeAll(async () => {
  boxes = await WorkBoxes.open();
});
afterAll(() => boxes[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: what Python takes and gives is what the tests are about
type Any = Record<string, (...args: any[]) => any>;
// biome-ignore lint/suspicious/noExplicitAny: as above
type Task = (...args: any[]) => any;

interface Side {
  readonly runtime: Runtime;
  /** The other box. */
  readonly other: Bound;
  readonly node: string;
}
/** From each box to the other. */
const sides: [string, () => Side][] = [
  ['the head', () => ({ runtime: boxes.here, other: boxes.onFar, node: boxes.farNode })],
  ['the other box', () => ({ runtime: boxes.there, other: boxes.onHead, node: boxes.headNode })],
];
const MB = 2 ** 20;

describe.each(sides)('from %s', (_name, side) => {
  it('a counter on the other box keeps its state, counts in order, and what it prints is told', async () => {
    const { runtime, other } = side();
    using counter = await runtime.actor('programs.py:Counter', other).create();
    const refs = Array.from({ length: 10 }, () => counter.remote('increment'));
    expect(await counter.call('get_counter')).toBe(10);
    expect(await runtime.get(refs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const { printed } = runtime === boxes.here ? boxes.head : boxes.far;
    await eventually(() => printed.some(({ lines }) => lines.includes('counter: 10')));
  });

  it('a task there takes the result of another here by reference', async () => {
    const { runtime, other } = side();
    const plusOne = runtime.task<(value: number) => number>('programs.py:plus_one');
    const first = runtime.task<() => number>('programs.py:one').remote();
    expect(await plusOne.withOptions(other).call(plusOne.remote(first))).toBe(3);
    const [pid, far] = await Promise.all(
      [{}, other].map((options) => runtime.task<Task>('behaviour.py:pid', options).call()),
    );
    expect(isAlive(far)).toBe(true);
    expect(far).not.toBe(pid);
  });

  it('a model there sees its devices, and is listed with its node', async () => {
    const { runtime, other, node } = side();
    using model = await runtime.actor<Any>('programs.py:Model', { numGpus: 2, ...other }).create();
    const [devices, ids] = await model.call('seen');
    expect(devices).toEqual(ids.map(String));
    expect(await model.call('generate', ['one'], new Keywords({ temperature: 0.8 }))).toEqual(['one, at 0.8, of 2']);
    expect(await boxes.list('actors')).toContainEqual(
      expect.objectContaining({ class: 'Model', state: 'ALIVE', node, resources: { GPU: 2 } }),
    );
  });

  it('arrays of 64 MB go there and come back, as arguments, by reference and as results', async () => {
    const { runtime, other } = side();
    const array = new Float32Array(16 * MB).map((_, at) => at % 251);
    const sum = array.reduce((total, one) => total + one, 0);
    const total = runtime.task<Task>('behaviour.py:total', other);
    expect(await total.call(array)).toBeCloseTo(sum, -6);
    using ref = await runtime.put(array);
    const [first, second] = await Promise.all([total.call(ref), total.call(ref)]);
    expect(first).toBe(second);
    const back = await runtime.task<Task>('behaviour.py:add', other).call(ref, 1);
    expect(back).toMatchObject({ shape: [16 * MB], dtype: 'float32' });
    const { data } = back as NdArray;
    for (let at = 0; at < data.length; at += 4099) expect(Number(data[at])).toBe((at % 251) + 1);
  });

  it('items of a generator there come one after another, large ones, too', async () => {
    const { runtime, other } = side();
    const items = runtime.task<Task>('behaviour.py:items', other);
    const small: unknown[] = [];
    for await (const item of items.stream(100)) small.push(item);
    expect(small).toEqual(Array.from({ length: 100 }, (_, at) => at));
    let at = 0;
    for await (const item of items.stream(5, MB)) {
      expect([(item as NdArray).shape, Number((item as NdArray).data[MB - 1])]).toEqual([[MB], at++]);
    }
    expect(at).toBe(5);
    using notes = await runtime.actor<Any>('behaviour.py:Notes', other).create();
    const got: unknown[] = [];
    for await (const item of notes.stream('items', 3)) got.push(item);
    expect(got).toEqual([0, 1, 2]);
  });

  it('who stops reading a stream ends the generator there', async () => {
    const { runtime, other } = side();
    const [began, ended] = [boxes.head.path(), boxes.head.path()];
    for await (const item of runtime.task<Task>('behaviour.py:endless', other).stream(began, ended)) {
      if (item === 5) break;
    }
    await boxes.head.begun(began);
    await eventually(() => boxes.head.there(ended));
  });

  it('a signal ends a task that runs there, a coroutine, and a call that waits', async () => {
    const { runtime, other } = side();
    const aborted = { code: 'ABORTED' };
    const [ending, began] = [new AbortController(), boxes.head.path()];
    const { signal } = ending;
    const runs = runtime
      .task<Task>('behaviour.py:until', other)
      .withOptions({ signal })
      .call(boxes.head.path(), '', began);
    using naps = await runtime.actor<Any>('behaviour.py:Naps', other).create();
    const asleep = boxes.head.path();
    const sleeps = naps.withOptions({ signal }).call('sleep', asleep);
    using notes = await runtime.actor<Any>('behaviour.py:Notes', other).create();
    const gate = boxes.head.path();
    const before = notes.remote('until', gate);
    const waits = notes.withOptions({ signal }).call('add', 'never');
    waits.catch(() => {});
    await Promise.all([boxes.head.begun(began), boxes.head.begun(asleep)]);
    ending.abort();
    const both = await Promise.allSettled([runs, sleeps]);
    for (const one of both) expect(one).toMatchObject({ reason: aborted });
    expect(await naps.call('how')).toBe('cancelled');
    boxes.head.touch(gate); // a worker that is busy reads no more words meanwhile
    const [ended] = await Promise.allSettled([waits]);
    expect(ended).toMatchObject({ reason: aborted });
    await runtime.get(before);
    expect(await notes.call('all')).toEqual([]);
    const marked = boxes.head.path();
    using forced = runtime.task<Task>('behaviour.py:until', other).remote(boxes.head.path(), 1, marked);
    const pid = await boxes.head.begun(marked);
    runtime.cancel(forced, { force: true });
    await expect(runtime.get(forced)).rejects.toMatchObject(aborted);
    await eventually(() => !isAlive(pid));
  });

  it('errors of Python come with their type and message', async () => {
    const { runtime, other } = side();
    await expect(runtime.task<Task>('behaviour.py:fail', other).call('no such thing')).rejects.toMatchObject({
      ...{ code: 'TASK_FAILED', remoteType: 'ValueError', remoteMessage: 'no such thing' },
    });
    await expect(
      runtime
        .actor('programs.py:Nothing', other)
        .create()
        .then((one) => one.call('x')),
    ).rejects.toThrow(/Nothing/);
  });
});

it('what is put on one box is read on the other, through a handle that both have', async () => {
  const options = { name: 'shelf', namespace: 'both', ...boxes.onFar };
  using shelf = await boxes.here.actor<Any>('behaviour.py:Notes', options).create();
  const array = new Float64Array(MB).fill(7);
  using ref = await boxes.here.put(array);
  await shelf.call('add', [ref]);
  using same = await boxes.there.getActor<Any>('shelf', 'both');
  const [[found]] = (await same.call('all')) as [[typeof ref]];
  const read = (await boxes.there.get(found)) as unknown as NdArray;
  expect([read.shape, Number(read.data[MB - 1])]).toEqual([[MB], 7]);
  using small = await boxes.there.put({ a: [1, 'x'] });
  await same.call('add', [small]);
  const seen = (await shelf.call('all')) as [unknown, [typeof small]];
  expect(await boxes.here.get(seen[1][0])).toEqual({ a: [1, 'x'] });
});

it('instances fill both boxes, and no device is given twice', async () => {
  const Model = boxes.there.actor<Any>('programs.py:Model', { numGpus: 3 });
  const models: ActorHandle<Any>[] = await Promise.all([0, 1, 2, 3].map(() => Model.create()));
  const seen = await Promise.all(models.map((model) => model.call('seen')));
  const actors = await boxes.list<{ node: string; pid: number }>('actors');
  const nodes = new Map<string, number>();
  for (const { node } of actors) nodes.set(node, (nodes.get(node) ?? 0) + 1);
  expect(nodes).toEqual(
    new Map([
      [boxes.headNode, 2],
      [boxes.farNode, 2],
    ]),
  );
  expect(seen.flatMap(([devices]) => devices).sort()).toEqual([
    '0',
    '0',
    '1',
    '1',
    '2',
    '2',
    '3',
    '3',
    '4',
    '4',
    '5',
    '5',
  ]);
  for (const model of models) model[Symbol.dispose]();
  await boxes.free();
});

it('ranks on both boxes sum their gradients through put and get', async () => {
  const options = [boxes.onHead, boxes.onFar, boxes.onFar, boxes.onHead];
  const ranks = await Promise.all(
    options.map((one, rank) => boxes.there.actor<Any>('programs.py:Rank', one).create(rank)),
  );
  const gradients = await Promise.all(ranks.map((rank) => rank.call('gradient')));
  expect(await Promise.all(ranks.map((rank) => rank.call('apply', gradients)))).toEqual(Array(4).fill([10, 10]));
  for (const rank of ranks) rank[Symbol.dispose]();
});

it('the lists of the head show what is on both boxes', async () => {
  const [gate, began] = [boxes.head.path(), boxes.head.path()];
  using ref = await boxes.there.put(new Float64Array(MB));
  using waits = boxes.here.task<Task>('behaviour.py:until', boxes.onFar).remote(gate, 1, began);
  const pid = await boxes.head.begun(began);
  const nodes = await boxes.list<{ id: string; state: string }>('nodes');
  expect(nodes.map(({ id, state }) => [id, state])).toEqual([
    [boxes.headNode, 'alive'],
    [boxes.farNode, 'alive'],
  ]);
  expect(await boxes.list('tasks')).toMatchObject([{ name: 'until', state: 'RUNNING', pid, callerPid: process.pid }]);
  const objects = await boxes.list('objects');
  expect(objects).toContainEqual(
    expect.objectContaining({
      id: ref.id,
      state: 'sealed',
      where: 'away',
      bytes: expect.any(Number),
      holders: [process.pid],
    }),
  );
  const status = await runCli(['status'], boxes.far.env);
  expect([status.code, status.stdout]).toEqual([0, expect.stringContaining('agent')]);
  boxes.head.touch(gate);
  expect(await boxes.here.get(waits)).toBe(1);
});

it('a runtime that ends leaves nothing of its own on the other box', async () => {
  const before = boxes.far.processes().length;
  const runtime = await boxes.head.join({ output: 'ignore' });
  const counter = await runtime.actor('programs.py:Counter', boxes.onFar).create();
  expect(await counter.call('increment')).toBe(1);
  const pid = await runtime.task<Task>('behaviour.py:pid', boxes.onFar).call();
  await runtime.put(new Float64Array(MB));
  await runtime[Symbol.asyncDispose]();
  await eventually(() => !isAlive(pid));
  await eventually(async () => (await boxes.list('actors')).length === 0);
  await boxes.free();
  expect(boxes.far.processes().length).toBeLessThanOrEqual(before + 2); // spare ones
});

describe('a box, or the head, that is killed', () => {
  it('is an error with a code for all who need what was there, and what may go elsewhere does', async () => {
    await using own = await WorkBoxes.open();
    const { here, there, onFar } = own;
    const soft = { schedulingStrategy: { nodeId: own.farNode, soft: true } };
    using bound = await here.actor<Any>('behaviour.py:Notes', onFar).create();
    using free = await here.actor<Any>('behaviour.py:Notes', { ...soft, maxRestarts: 1, maxTaskRetries: 1 }).create();
    await bound.call('add', 1);
    const first = await free.call('pid');
    const lost = here.task<Task>('behaviour.py:zeros', onFar).remote(MB);
    await here.wait([lost]);
    const [gate, began] = [own.head.path(), own.head.path()];
    const tried = here.task<Task>('behaviour.py:until', { ...soft, maxRetries: 1 }).call(gate, 'done', began);
    const waits = bound.call('until', own.head.path()).catch((error: unknown) => error);
    await own.head.begun(began);
    own.kill();
    expect(await waits).toMatchObject({ code: 'ACTOR_DIED' });
    await expect(bound.call('all')).rejects.toMatchObject({ code: 'ACTOR_DIED' });
    await expect(here.get(lost)).rejects.toMatchObject({ code: 'OBJECT_LOST' });
    await expect(there.put(new Float64Array(MB))).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    const second = await free.call('pid');
    expect([first === second, isAlive(second)]).toEqual([false, true]);
    expect(await own.list('actors')).toMatchObject([
      { state: 'DEAD' },
      { state: 'ALIVE', node: own.headNode, restarts: 1 },
    ]);
    own.head.touch(gate);
    expect(await tried).toBe('done');
    const nodes = await own.list<{ id: string; state: string }>('nodes');
    expect(nodes.find(({ id }) => id === own.farNode)?.state).toBe('dead');
    await own.join();
    expect(await here.task<Task>('behaviour.py:add', own.onFar).call(1, 2)).toBe(3);
  });

  it('comes back at its port, and the other box joins it by itself', async () => {
    await using own = await WorkBoxes.open();
    using far = await own.there.actor<Any>('behaviour.py:Notes', own.onFar).create();
    const pid = await far.call('pid');
    process.kill(own.head.head, 'SIGKILL');
    await expect(own.there.put(new Float64Array(MB))).rejects.toMatchObject({ code: 'HEAD_UNREACHABLE' });
    await eventually(() => !isAlive(pid));
    await own.startHead();
    await own.again();
    expect(await own.there.task<Task>('behaviour.py:add', own.onHead).call(1, 2)).toBe(3);
    expect(await own.here.task<Task>('behaviour.py:add', own.onFar).call(1, 2)).toBe(3);
  });
});
