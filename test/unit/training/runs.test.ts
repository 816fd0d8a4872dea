import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import { CheckpointFiles } from '../../../src/training/checkpoint-files.js';
import { Checkpoints } from '../../../src/training/checkpoints.js';
import { Futures } from '../../../src/training/futures.js';
import { ParkedRuns } from '../../../src/training/parked-runs.js';
import { Residence } from '../../../src/training/residence.js';
import { Runs } from '../../../src/training/runs.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { NewRun } from '../../../src/training/types.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun, outcome } from './fake-trainer.js';

let host: FakeHost;
let service: LocalTrainingService;
let session: string;
beforeEach(() => {
  host = new FakeHost();
  service = new LocalTrainingService({
    inference: new FakeInference(),
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: '/dev/null/nowhere',
    nowMs: () => 0,
  });
  session = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
});
afterEach(() => service[Symbol.dispose]());

const spec = (changes: Partial<NewRun> = {}): NewRun => newRun(session, changes);
const work = (loss = 'cross_entropy') => ({
  loss,
  config: {},
  forward_only: false,
  tokens: Buffer.alloc(4),
  lengths: [1],
  inputs: [],
});
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const json = (id: string) => {
  const answer = service.request('t', id)?.answer ?? null;
  if (answer === null || 'error' in answer) return answer;
  return answer.kind === 'json' ? JSON.parse(Buffer.from(answer.bytes).toString()) : answer.kind;
};
const losses = () =>
  host.trainer.sent.flatMap(({ method, params }) =>
    method === 'train_pass' ? (params as { works: { loss: string }[] }).works.map(({ loss }) => loss) : [],
  );

describe('a run', () => {
  it('is made once for its number, with what was asked for', async () => {
    const { requestId, run } = service.createRun('t', spec());
    expect(run).toBe(`${session}:train:0`);
    expect(service.createRun('t', spec()).requestId).toBe(requestId);
    expect(() => service.createRun('t', spec({ rank: 4 }))).toThrow('another number');
    await flush();
    expect(json(requestId)).toEqual({ model_id: run, type: 'create_model' });
    const parts = { train_attn: true, train_mlp: true, train_unembed: false };
    const plain = { alpha: 32, dropout: 0, targets: null, rslora: false, init: 'default' };
    expect(host.trainer.sent.map(({ params }) => params)).toEqual([{ run, rank: 8, seed: 1, ...parts, ...plain }]);
    expect(service.run('t', run)).toMatchObject({ id: run, folder: '/models/demo', corrupted: false });
    expect(service.session('t', session).runs).toEqual([run]);
  });

  it('of a model that is not trained, or not there, is refused', () => {
    expect(() => service.createRun('t', spec({ baseModel: 'none' }))).toThrow(
      'no model `none` is served here: expected one of `demo`, `alias/with-slash`, or the folder that it was served from',
    );
    host.refusal = new TwinkleError('UNSUPPORTED_PARAMETER', 'never sampled from');
    expect(() => service.createRun('t', spec())).toThrow('never sampled from');
    host.trains = () => false;
    expect(() => service.createRun('t', spec())).toThrow('cannot be trained');
    expect(service.runs('t')).toEqual([]);
  });

  it('takes work before it is there, and does it in order', async () => {
    const { run } = service.createRun('t', spec());
    const second = service.compute('t', { run, seqId: 2, work: work('second') });
    const third = service.step('t', { run, seqId: 3, adam });
    const first = service.compute('t', { run, seqId: 1, work: work('first') });
    await flush();
    expect(host.trainer.methods()).toEqual(['train_create', 'train_pass', 'train_pass', 'train_step']);
    expect(losses()).toEqual(['first', 'second']);
    expect([json(first), json(second), json(third)]).toEqual([
      'protobuf',
      'protobuf',
      { metrics: { 'grad_norm:mean': 2 } },
    ]);
  });

  it('does a request once, however often it is sent, also when its answer is gone', async () => {
    const futures = new Futures({ nowMs: () => 0, keepMs: 1000, keepBytes: 1000 });
    const parked = new ParkedRuns(new Checkpoints(new CheckpointFiles('/dev/null/nowhere'), Date.now));
    const keeper = new Residence({ host, parked, log: SILENT, nowMs: () => 0 }, { maxRuns: 1, idleMs: 1 });
    const runs = new Runs(host, futures, keeper);
    const owner = { id: 's', tenant: 't', userMetadata: null, displayName: null, idempotencyKey: null, heardMs: 0 };
    const { id: run } = runs.create(owner, spec(), 'demo');
    const ask = () => runs.ask('t', run, 1, (asked, future) => asked.compute({ run, seqId: 1, work: work() }, future));
    const id = ask();
    expect(ask()).toBe(id);
    await flush();
    const future = futures.find(id, 't');
    if (future === null) throw new Error('not known');
    futures.drop(future);
    expect(ask).toThrow(expect.objectContaining({ code: 'FUTURE_EXPIRED', status: 410 }));
    expect(losses()).toHaveLength(1);
  });

  it('goes on behind what was refused', async () => {
    const { run } = service.createRun('t', spec());
    service.compute('t', { run, seqId: 2, work: work('second') });
    service.refused('t', run, 1);
    service.refused('t', 'unknown', 1);
    await flush();
    expect(losses()).toEqual(['second']);
  });

  it('goes on without one that never comes', async () => {
    vi.useFakeTimers();
    try {
      const { run } = service.createRun('t', spec());
      service.compute('t', { run, seqId: 3, work: work('third') });
      service.compute('t', { run, seqId: 2, work: work('second') });
      await vi.advanceTimersByTimeAsync(119_999);
      expect(losses()).toEqual([]);
      await vi.advanceTimersByTimeAsync(1);
      expect(losses()).toEqual(['second', 'third']);
      service.compute('t', { run, seqId: 5, work: work('fifth') });
      service.compute('t', { run, seqId: 4, work: work('fourth') });
      await vi.advanceTimersByTimeAsync(1);
      expect(losses()).toEqual(['second', 'third', 'fourth', 'fifth']);
      const late = service.compute('t', { run, seqId: 7, work: work() });
      service.finish('t', session);
      expect(service.request('t', late)).toBeNull();
      await vi.advanceTimersByTimeAsync(200_000);
      expect(losses()).toHaveLength(4);
    } finally {
      vi.useRealTimers();
    }
  });

  it('says whose fault a failure is, and lives on', async () => {
    const { run } = service.createRun('t', spec());
    host.trainer.automatic = false;
    const ids = [1, 2].map((seqId) => service.compute('t', { run, seqId, work: work() }));
    await flush();
    host.trainer.answer(0);
    await flush();
    const failures = [true, false].map((user) => outcome({ failure: { message: `user ${user}`, user } }));
    host.trainer.sent[1]?.answer.resolve({ outcomes: failures.slice(0, 1) } as never);
    host.trainer.sent[2]?.answer.resolve({ outcomes: failures.slice(1) } as never);
    await flush();
    const answers = ids.map(json);
    expect(answers).toContainEqual({ error: 'user true', category: 'user' });
    expect(service.run('t', run).corrupted).toBe(false);
  });

  it('that cannot be made says so, to those who wait for it, too', async () => {
    host.failure = new TwinkleError('GANG_FAILED', 'no memory');
    const { requestId, run } = service.createRun('t', spec());
    const early = service.compute('t', { run, seqId: 1, work: work() });
    await flush();
    expect([json(requestId), json(early)]).toEqual([
      { error: 'no memory', category: 'server' },
      { error: 'no memory', category: 'server' },
    ]);
    expect(service.runs('t')).toEqual([]);
  });

  it('is lost with its ranks, and says what to do', async () => {
    const { run } = service.createRun('t', spec());
    await flush();
    host.trainer.automatic = false;
    const broken = service.compute('t', { run, seqId: 1, work: work() });
    await flush();
    host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('RANK_FAILED', 'rank 0 was killed by SIGKILL'));
    await flush();
    expect(json(broken)).toEqual({ error: 'rank 0 was killed by SIGKILL', category: 'server' });
    const later = service.compute('t', { run, seqId: 2, work: work() });
    expect(json(later)).toMatchObject({ error: expect.stringContaining('begin anew'), category: 'server' });
    expect(service.run('t', run).corrupted).toBe(true);
    // Whatever its number is.
    expect(json(service.compute('t', { run, seqId: 9, work: work() }))).toMatchObject({ category: 'server' });
  });

  it('is lost, too, when its ranks were started again while nothing ran', async () => {
    const { run } = service.createRun('t', spec());
    await flush();
    host.trainer.gone = true;
    expect(service.run('t', run).corrupted).toBe(true);
    expect(json(service.step('t', { run, seqId: 1, adam }))).toMatchObject({ category: 'server' });
  });

  it('is dropped by the ranks when its session ends, even while it is made', async () => {
    host.trainer.automatic = false;
    const { run } = service.createRun('t', spec());
    await flush();
    service.finish('t', session);
    host.trainer.answer(0);
    await flush();
    expect(host.trainer.methods()).toEqual(['train_create', 'train_drop']);
    host.trainer.automatic = true;
    host.trainer.answer(1);
    expect(() => service.run('t', run)).toThrow('no training run');
    const next = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
    service.createRun('t', spec({ session: next }));
    await flush();
    service.finish('t', next);
    await flush();
    expect(host.trainer.methods().slice(2)).toEqual(['train_create', 'train_drop']);
  });

  it('is nobody else’s', () => {
    const { requestId, run } = service.createRun('t', spec());
    expect(() => service.run('o', run)).toThrow('no training run');
    expect(() => service.compute('o', { run, seqId: 1, work: work() })).toThrow('no training run');
    expect(() => service.createRun('o', spec())).toThrow('has ended');
    expect([service.request('o', requestId), service.runs('o')]).toEqual([null, []]);
    service.refused('o', run, 1);
    service.compute('t', { run, seqId: 1, work: work() });
  });
});

describe('whoever owns the server', () => {
  const states = () => service.watch.runs().map(({ state }) => state);

  it('sees how a run begins, trains and is lost', async () => {
    const { run } = service.createRun('t', spec());
    expect(service.watch.runs()).toMatchObject([{ id: run, model: 'demo', rank: 8, state: 'starting', reason: null }]);
    await flush();
    service.compute('t', { run, seqId: 1, work: work() });
    service.compute('t', { run, seqId: 2, work: { ...work(), forward_only: true } });
    service.step('t', { run, seqId: 3, adam });
    await flush();
    const row = { state: 'ready', step: 1, steps: 1, datums: 1, tokens: 1, loss: 1, gradNorm: 2, queued: 0 };
    expect(service.watch.runs()).toMatchObject([row]);
    expect(service.watch.run(run)).toMatchObject({ ...row, curve: [{ step: 1, loss: 1 }] });
    expect(service.watch.run('other')).toBeNull();

    host.trainer.automatic = false;
    for (let seqId = 4; seqId < 10; seqId++) service.compute('t', { run, seqId, work: work() });
    expect(service.watch.runs()).toMatchObject([{ queued: 4 }]);
    host.trainer.gone = true;
    expect(service.watch.runs()).toMatchObject([{ state: 'lost', reason: expect.stringContaining('have ended') }]);
    host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    await flush();
    expect(service.watch.runs()).toMatchObject([{ state: 'lost', reason: expect.stringContaining('was killed') }]);
  });

  it('sees the runs of all tenants, until their sessions end', async () => {
    const other = service.createSession('o', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
    service.createRun('t', spec());
    service.createRun('o', spec({ session: other }));
    await flush();
    expect(states()).toEqual(['ready', 'ready']);
    service.finish('o', other);
    expect(states()).toEqual(['ready']);
  });

  it('sees nothing that a client named', () => {
    service.createRun('t', spec({ userMetadata: { secret: 'tml-key' } }));
    expect(JSON.stringify(service.watch.runs())).not.toMatch(/secret|tml-key/);
  });

  it('hears of a step whose gradient was lost as of none', async () => {
    const { run } = service.createRun('t', spec());
    await flush();
    host.trainer.automatic = false;
    service.compute('t', { run, seqId: 1, work: work() });
    service.step('t', { run, seqId: 2, adam });
    const heard: unknown[] = [];
    service.watch.on('stepped', (report) => heard.push(report.loss));
    host.trainer.answer(1);
    await flush();
    host.trainer.sent[2]?.answer.reject(new TwinkleError('INVALID_REQUEST', 'the gradient is NaN'));
    await flush();
    expect([heard, service.watch.runs()[0]?.steps]).toEqual([[], 0]);
    host.trainer.automatic = true;
    service.compute('t', { run, seqId: 3, work: work() });
    service.step('t', { run, seqId: 4, adam });
    await flush();
    expect(heard).toEqual([1]);
  });
});

it('two runs are computed together', async () => {
  const runs = [0, 1, 2].map((seqId) => service.createRun('t', spec({ seqId })).run);
  await flush();
  host.trainer.automatic = false;
  for (const run of runs) service.compute('t', { run, seqId: 1, work: work(run) });
  for (const run of runs) service.compute('t', { run, seqId: 2, work: work(run) });
  await flush();
  const passes = host.trainer.sent.filter(({ method }) => method === 'train_pass');
  host.trainer.answer(host.trainer.sent.indexOf(passes[0] as never));
  await flush();
  const sizes = host.trainer.sent.flatMap(({ method, params }) =>
    method === 'train_pass' ? [(params as { works: unknown[] }).works.length] : [],
  );
  expect(sizes).toEqual([1, 1, 4]);
});
