import { expect, it } from 'vitest';
import { type QueuedRun, TrainerQueue } from '../../../src/training/trainer-queue.js';
import { FakeTrainer } from './fake-trainer.js';

const flush = () => new Promise((resolve) => setImmediate(resolve));

function build() {
  const trainer = new FakeTrainer();
  trainer.automatic = false;
  const queue = new TrainerQueue(trainer);
  const done: string[] = [];
  const run = (id: string): QueuedRun => ({ id, waiting: [] });
  const pass = (of: QueuedRun, name: string, tokens = 10): void =>
    queue.add(of, {
      kind: 'pass',
      work: { run: of.id, loss: name, config: {}, forward_only: false, tokens: Buffer.of(), lengths: [], inputs: [] },
      tokens,
      sent: () => {},
      done: () => done.push(name),
      failed: (error) => done.push(`${name}: ${String(error)}`),
    });
  const step = (of: QueuedRun, name: string): void =>
    queue.add(of, {
      kind: 'call',
      sent: () => {},
      send: async (to) => {
        const adam = { learning_rate: 1, beta1: 0, beta2: 0, eps: 0, weight_decay: 0, grad_clip_norm: 0 };
        await to.call('train_step', { run: of.id, ...adam });
        done.push(name);
      },
      failed: (error) => done.push(`${name}: ${String(error)}`),
    });
  /** What each call carries. */
  const calls = () =>
    trainer.sent.map(({ method, params }) =>
      method === 'train_pass' ? (params as { works: { loss: string }[] }).works.map(({ loss }) => loss) : 'step',
    );
  return { trainer, queue, done, run, pass, step, calls };
}

it('keeps two calls on their way, and sends together what waited meanwhile', async () => {
  const { calls, done, pass, run, trainer } = build();
  const [a, b, c] = [run('a'), run('b'), run('c')];
  pass(a, 'a1');
  pass(b, 'b1');
  pass(c, 'c1');
  pass(a, 'a2');
  pass(b, 'b2');
  expect(calls()).toEqual([['a1'], ['b1']]);
  trainer.answer(0);
  await flush();
  expect(calls()).toEqual([['a1'], ['b1'], ['c1', 'a2', 'b2']]);
  trainer.answer(1);
  trainer.answer(2);
  await flush();
  expect(done).toEqual(['a1', 'b1', 'c1', 'a2', 'b2']);
});

it('steps a run behind its passes and before the next ones', async () => {
  const { calls, pass, run, step, trainer } = build();
  trainer.automatic = true;
  const [a, b] = [run('a'), run('b')];
  for (const at of [1, 2]) {
    pass(a, `a${at}`);
    step(a, `sa${at}`);
    pass(b, `b${at}`);
    step(b, `sb${at}`);
  }
  await flush();
  await flush();
  const order = calls().flat();
  const passes = order.filter((one) => one !== 'step');
  expect([...passes].sort()).toEqual(['a1', 'a2', 'b1', 'b2']);
  expect(order.filter((one) => one === 'step')).toHaveLength(4);
  const runs = trainer.sent.flatMap(({ method, params }) =>
    method === 'train_step'
      ? [`${(params as { run: string }).run}!`]
      : (params as { works: { run: string }[] }).works.map((work) => work.run),
  );
  for (const id of ['a', 'b']) {
    expect(runs.filter((one) => one.startsWith(id))).toEqual([id, `${id}!`, id, `${id}!`]);
  }
});

it('bounds the tokens of a call, and lets a bigger work go alone', async () => {
  const { calls, pass, run, trainer } = build();
  const a = run('a');
  pass(a, '1', 60_000);
  pass(a, '2', 60_000);
  pass(a, '3', 100_000);
  pass(a, '4', 40_000);
  pass(a, '5', 20_000);
  pass(a, '6', 20_000);
  trainer.answer(0);
  await flush();
  trainer.answer(1);
  await flush();
  expect(calls()).toEqual([['1'], ['2'], ['3'], ['4', '5']]);
});

it('fails what a broken call carried, and goes on', async () => {
  const { calls, done, pass, run, trainer } = build();
  const a = run('a');
  pass(a, '1');
  pass(a, '2');
  pass(a, '3');
  trainer.sent[0]?.answer.reject(new Error('killed'));
  trainer.sent[1]?.answer.resolve({ outcomes: [] } as never);
  await flush();
  expect(done).toEqual(['1: Error: killed', '2: Error: the ranks sent 0 outcomes for 1 works']);
  expect(calls()).toHaveLength(3);
});
