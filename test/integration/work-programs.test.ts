/** Programs that people write for Ray, from lessons about it, as programs in Node write them. */
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ActorHandle, ObjectRef } from '../../src/index.js';
import { NdArray } from '../../src/index.js';
import { Keywords } from '../../src/work/client.js';
import type { Runtime } from '../../src/work/runtime.js';
import { eventually, WorkBox } from '../support/work-box.js';

let box: WorkBox;
let runtime: Runtime;
beforeAll(async () => {
  box = await WorkBox.open();
  runtime = box.runtime;
});
afterAll(() => box[Symbol.asyncDispose]());

// biome-ignore lint/suspicious/noExplicitAny: what Python takes and gives is what the tests are about
type Any = Record<string, (...args: any[]) => any>;

interface Model {
  seen(): [string[], number[]];
  generate(prompts: string[], more?: unknown): string[];
}

interface Rank {
  gradient(): [ObjectRef<NdArray>];
  own(): NdArray;
  apply(boxes: unknown): [number, number];
  take(summed: NdArray): [number, number];
}

it('a counter keeps its state, counts ten calls in their order, and what it prints is told', async () => {
  using counter = await runtime.actor('programs.py:Counter').create();
  const refs = Array.from({ length: 10 }, () => counter.remote('increment'));
  expect(await counter.call('get_counter')).toBe(10);
  expect(await runtime.get(refs)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  const lines = () => box.printed.filter(({ name }) => name === 'Counter').flatMap(({ lines }) => lines);
  await eventually(() => lines().includes('counter: 10'));
  expect(lines()).toEqual(Array.from({ length: 10 }, (_, at) => `counter: ${at + 1}`));
});

it('a task takes the result of another by reference', async () => {
  const plusOne = runtime.task<(value: number) => number>('programs.py:plus_one');
  const first = runtime.task<() => number>('programs.py:one').remote();
  expect(await plusOne.call(plusOne.remote(first))).toBe(3);
  expect(await runtime.get(first)).toBe(1);
});

it('a model with two devices sees those two and no other', async () => {
  using model = await runtime.actor<Model>('programs.py:Model', { numGpus: 2 }).create();
  const [devices, ids] = await model.call('seen');
  expect(new Set(devices).size).toBe(2);
  expect(devices).toEqual(ids.map(String));
  await eventually(async () => (await runtime.snapshot()).nodes[0]?.available.GPU === 4);
  const prompts = ['Hello, my name is', 'The capital of France is'];
  const answers = await model.call('generate', prompts, new Keywords({ temperature: 0.8 }));
  expect(answers).toEqual(prompts.map((prompt) => `${prompt}, at 0.8, of 2`));
});

it('four instances answer in parallel, and no device is given twice', async () => {
  const Model = runtime.actor<Model>('programs.py:Model');
  const models: ActorHandle<Model>[] = [];
  for (const numGpus of [1, 1, 2, 2]) models.push(await Model.withOptions({ numGpus }).create());
  const given = (await Promise.all(models.map((model) => model.call('seen')))).map(([devices]) => devices);
  expect(given.map(({ length }) => length)).toEqual([1, 1, 2, 2]);
  expect(given.flat().sort()).toEqual(['0', '1', '2', '3', '4', '5']);
  const answers = await Promise.all(models.map((model, at) => model.call('generate', [`Text ${at}`])));
  expect(answers.flat()).toEqual([1, 1, 2, 2].map((count, at) => `Text ${at}, at 0.0, of ${count}`));
  for (const model of models) model[Symbol.dispose]();
});

it('a scheduler in a namespace batches by two for programs in Node and Python that have joined, both at once', async () => {
  using model = await runtime.actor<Model>('programs.py:Model', { numGpus: 1 }).create();
  const options = { name: 'scheduler', namespace: 'head', numCpus: 1 };
  using scheduler = await runtime.actor('programs.py:Scheduler', options).create(model);
  expect(await scheduler.call('schedule', [])).toEqual([]);
  const inNode = box.program(
    'node',
    `const { createRuntime } = await import(process.env.TWINKLE_DIST);
     const runtime = await createRuntime({ address: 'auto' });
     const scheduler = await runtime.getActor('scheduler', 'head');
     const inputs = Array.from({ length: 5 }, (_, at) => 'test' + at);
     for (const batch of await scheduler.call('schedule', inputs)) console.log(batch.join(' | '));
     await runtime[Symbol.asyncDispose]();`,
  );
  const inPython = box.program(
    'python',
    `import twinkle_node as tn
tn.init(address="auto")
scheduler = tn.get_actor(name="scheduler", namespace="head")
for batch in tn.get(scheduler.schedule.remote([f"test{i}" for i in range(5)])):
    print(*batch, sep=" | ")`,
  );
  const expected = [
    'test0, at 0.0, of 1 | test1, at 0.0, of 1',
    'test2, at 0.0, of 1 | test3, at 0.0, of 1',
    'test4, at 0.0, of 1',
  ];
  expect(await inNode).toEqual(expected);
  expect(await inPython).toEqual(expected);
});

it('ranks sum their gradients through put and get, among themselves and in Node', async () => {
  const Rank = runtime.actor<Rank>('programs.py:Rank');
  const ranks = await Promise.all([0, 1, 2, 3].map((rank) => Rank.create(rank)));
  const gradients = await Promise.all(ranks.map((rank) => rank.call('gradient')));
  expect(await Promise.all(ranks.map((rank) => rank.call('apply', gradients)))).toEqual(Array(4).fill([10, 10]));
  const sum = new Float64Array(50_000);
  for (const { data, shape, dtype } of await runtime.get(ranks.map((rank) => rank.remote('own')))) {
    expect([shape, dtype]).toEqual([[50_000], 'float64']);
    for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] ?? 0) + Number(data[at]);
  }
  using summed = await runtime.put(new NdArray(sum));
  expect(await Promise.all(ranks.map((rank) => rank.call('take', summed)))).toEqual(Array(4).fill([20, 20]));
  for (const rank of ranks) rank[Symbol.dispose]();
});

it('actors with a name are called across: Python’s from Node, Node’s from Python', async () => {
  using named = await runtime.actor<Any>('behaviour.py:Notes', { name: 'of node' }).create('named');
  const lines = await box.program(
    'python',
    `import twinkle_node as tn
import numpy as np
tn.init("auto")
notes = tn.get_actor("of node")
print(*tn.get(notes.all.remote()))
print(tn.get(notes.size_of.remote(np.zeros(50_000))))
print(*map(tn.get, notes.items.options(num_returns="streaming").remote(3)))
try:
  tn.get(notes.fail.remote("told"))
except ValueError as error:
  print("ValueError", error.args)
@tn.remote
class Pythons:
  def __init__(self): self.kept = {}
  def keep(self, name, value, times=1):
      self.kept[name] = value * times
      return self.kept
  def items(self, count):
      yield from range(count)
  async def quick(self): return "quick"
kept = Pythons.options(name="of python", lifetime="detached").remote()
tn.get(kept.keep.remote("a", 1))`,
  );
  expect(lines).toEqual(['named', '50000', '0 1 2', "ValueError ('told',)"]);
  expect(await named.call('all')).toEqual(['named']);
  using kept = await runtime.getActor<Any>('of python');
  expect(await kept.call('keep', 'b', 21, new Keywords({ times: 2 }))).toEqual({ a: 1, b: 42 });
  expect(await kept.call('quick')).toBe('quick');
  const seen: unknown[] = [];
  for await (const item of kept.stream('items', 3)) seen.push(item);
  expect(seen).toEqual([0, 1, 2]);
  await expect(kept.call('nope')).rejects.toThrow('it has items, keep, quick');
  await kept.kill();
});

it('what workers print comes out of the program, by whom it was; or not', async () => {
  const says = (output: string) => `
const { createRuntime } = await import(process.env.TWINKLE_DIST);
const runtime = await createRuntime({ output: '${output}' });
const says = runtime.task('behaviour.py:says');
await says.call('to stdout');
await says.call('to stderr', true);
await runtime.actor('programs.py:Counter').create().then((counter) => counter.call('increment', 4));
await new Promise((resolve) => setTimeout(resolve, 100));
console.log('end');
await runtime[Symbol.asyncDispose]();`;
  const lines = await box.program('node', says('inherit'));
  expect(lines.map((line) => line.replace(/pid=\d+/, 'pid=N'))).toEqual([
    '(task pid=N) to stdout',
    '(Counter pid=N) counter: 4',
    'end',
  ]);
  expect(await box.program('node', says('ignore'))).toEqual(['end']);
});

it('a runtime that cannot be had says why, and leaves nothing', async () => {
  const refused = (options: object) =>
    box.join(options).then(
      () => 'joined',
      ({ code, message }) => `${code}: ${message}`,
    );
  expect(await refused({ numCpus: 4 })).toMatch(/^CONFIG_INVALID: `numCpus` is of an own head/);
  expect(await refused({ address: 'nowhere' })).toMatch(/^CONFIG_INVALID: expected 'auto' or 'local'/);
  expect(await refused({ home: box.path(true) })).toMatch(/^HEAD_UNREACHABLE: no head runs in/);
  expect(await refused({ python: '/no/python' })).toMatch(/^PYTHON_MISSING/);
  expect(await refused({ signal: AbortSignal.abort(new Error('changed my mind')) })).toMatch(/changed my mind/);
  const before = readdirSync(tmpdir()).length;
  expect(await refused({ address: 'local', home: undefined, numGpus: 7 })).toMatch(/^DEVICE_MISSING/);
  expect(await refused({ address: 'local', home: undefined, python: '/no/python' })).toMatch(/^PYTHON_MISSING/);
  expect(readdirSync(tmpdir()).length).toBeLessThanOrEqual(before);
  expect((await box.work()).drivers).toBe(1);
});
