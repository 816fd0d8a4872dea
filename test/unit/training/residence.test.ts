import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { flush, newRun } from './fake-trainer.js';
import { WeighingHost } from './weighing-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const work = (forward_only = false) => ({
  loss: 'cross_entropy',
  config: {},
  forward_only,
  tokens: Buffer.alloc(4),
  lengths: [1],
  inputs: [],
});

let root: string;
let now = 0;
let host: WeighingHost;
let service: LocalTrainingService;
let session: string;
const log = { ...SILENT, warn: vi.fn() };

function open(rules: Partial<TrainingRules> = { maxRuns: 1 }): void {
  host = new WeighingHost();
  service = new LocalTrainingService({
    inference: new FakeInference(),
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: join(root, 'checkpoints'),
    journalFolder: join(root, 'journal'),
    log,
    rules,
    nowMs: () => now,
  });
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  now = 0;
  root = mkdtempSync(join(tmpdir(), 'twinkle-parking-'));
  open();
  session = service.createSession('t', NEW).id;
});
afterEach(async () => {
  await service.close();
  rmSync(root, { recursive: true, force: true });
  vi.clearAllMocks();
  vi.useRealTimers();
});

const numbers = new Map<string, number>();
/** Number of the next request of a run. */
function next(run: string): number {
  const seqId = (numbers.get(run) ?? 0) + 1;
  numbers.set(run, seqId);
  return seqId;
}
async function create(seqId: number): Promise<string> {
  const { run } = service.createRun('t', newRun(session, { seqId }));
  await flush();
  return run;
}
const pass = (run: string, forward = false): string =>
  service.compute('t', { run, seqId: next(run), work: work(forward) });
const step = (run: string): string => service.step('t', { run, seqId: next(run), adam });
const state = (run: string) => service.watch.run(run)?.state;
const paused = (id: string) => service.request('t', id)?.paused ?? null;
function answer(id: string): unknown {
  const got = service.request('t', id)?.answer ?? null;
  if (got === null || 'error' in got) return got;
  return got.kind === 'json' ? JSON.parse(Buffer.from(got.bytes).toString()) : got.kind;
}
/** Weights after so many steps of a run that was never parked. */
function trained(steps: number): number {
  let [weight, moment] = [1, 0];
  for (let at = 0; at < steps; at++) {
    moment = moment * 0.9 + weight * 0.3;
    weight -= 0.1 * moment;
  }
  return weight;
}
const weightOf = (id: string) => (answer(id) as { metrics: Record<string, number> }).metrics['weight:mean'];
/** What there is of parked runs on disk: of each a folder, and a record. */
function parked(): string[] {
  const all = join(root, 'checkpoints');
  return existsSync(all)
    ? readdirSync(all, { recursive: true })
        .map(String)
        .filter((name) => /parked\/run(@[^/]+|\.json)$/.test(name))
    : [];
}
async function tick(ms: number): Promise<void> {
  now += ms;
  service.heartbeat('t', session);
  vi.advanceTimersByTime(10_000);
  await flush();
}
/** As after kill -9, with what was on disk. */
async function restart(rules?: Partial<TrainingRules>): Promise<void> {
  await service.written();
  await service.close();
  open(rules);
  await service.restore();
}

describe('one run too many', () => {
  it('has the one that was idle longest parked, and every run ends as if it never had been', async () => {
    const [a, b] = [await create(0), await create(1)];
    expect([state(a), state(b)]).toEqual(['parked', 'ready']);
    expect(service.checkpoints.of('t')).toEqual([]);
    const last: string[] = [];
    for (let turn = 0; turn < 3; turn++) {
      for (const run of [a, b]) {
        pass(run);
        last.push(step(run));
        await flush();
      }
    }
    expect(last.map(weightOf)).toEqual([1, 1, 2, 2, 3, 3].map(trained));
    expect([host.trainer.runs.size, parked().length]).toEqual([1, 2]);
  });

  it('leaves those alone that were asked of later', async () => {
    await service.close();
    open({ maxRuns: 2 });
    session = service.createSession('t', NEW).id;
    const [a, b] = [await create(0), await create(1)];
    pass(a, true);
    await flush();
    const c = await create(2);
    expect([a, b, c].map(state)).toEqual(['ready', 'parked', 'ready']);
  });

  it('waits while none is idle, in the order in which they came', async () => {
    const a = await create(0);
    const gate = host.trainer.hold('train_pass');
    pass(a, true);
    await flush();
    const [second, third] = [1, 2].map((seqId) => service.createRun('t', newRun(session, { seqId })));
    const early = service.compute('t', { run: second?.run ?? '', seqId: 1, work: work(true) });
    await flush();
    const waiting = [second?.requestId ?? '', third?.requestId ?? '', early];
    expect(waiting.map(answer)).toEqual([null, null, null]);
    expect(waiting.map(paused)).toEqual(waiting.map(() => '1 runs of demo are trained now, and none of them is idle'));
    gate.resolve();
    await flush();
    expect(waiting.map(answer)).toEqual([
      { model_id: second?.run, type: 'create_model' },
      { model_id: third?.run, type: 'create_model' },
      'protobuf',
    ]);
    expect(host.trainer.calls).toEqual([
      'create 0',
      'pass 0',
      'save 0',
      'drop 0',
      'create 1',
      'pass 1',
      'save 1',
      'drop 1',
      'create 2',
    ]);
  });

  it('is not what a request waits for that waits for its turn on the devices', async () => {
    const a = await create(0);
    const gate = host.trainer.hold('train_pass');
    const waits = service.compute('t', { run: a, seqId: next(a), work: work(true) });
    await flush();
    expect(paused(waits)).toBeNull();
    Object.assign(host, { paused: (model: string) => `the replicas of ${model} have the devices` });
    expect(paused(waits)).toBe('the replicas of demo have the devices');
    gate.resolve();
    await flush();
    expect(paused(waits)).toBeNull();
  });

  it('waits for the step of a gradient, which would be lost', async () => {
    const a = await create(0);
    pass(a);
    const { requestId } = service.createRun('t', newRun(session, { seqId: 1 }));
    await flush();
    expect([answer(requestId), state(a)]).toEqual([null, 'ready']);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a)]).toEqual([trained(1), 'parked']);
    expect(answer(requestId)).toMatchObject({ type: 'create_model' });
  });

  it('waits no longer when its session ends', async () => {
    const a = await create(0);
    pass(a);
    const other = service.createSession('t', NEW).id;
    service.createRun('t', newRun(other));
    await flush();
    service.finish('t', other);
    step(a);
    await flush();
    expect([state(a), host.trainer.calls.filter((call) => call.startsWith('create'))]).toEqual(['ready', ['create 0']]);
  });
});

describe('a request that comes while its run is being parked', () => {
  it('has it parked and loaded again, when another one waits', async () => {
    const a = await create(0);
    const gate = host.trainer.hold('train_save');
    const b = (await create(1)) as string;
    const early = pass(a, true);
    expect(answer(early)).toBeNull();
    gate.resolve();
    await flush();
    expect([answer(early), state(a), state(b)]).toEqual(['protobuf', 'ready', 'parked']);
    expect(host.trainer.calls.slice(1, 5)).toEqual(['save 0', 'drop 0', 'create 1', 'save 1']);
  });

  it('has it stay, when nobody wants its room', async () => {
    const a = await create(0);
    const gate = host.trainer.hold('train_save');
    await tick(600_000);
    const early = pass(a, true);
    gate.resolve();
    await flush();
    expect([answer(early), state(a), parked()]).toEqual(['protobuf', 'ready', []]);
    expect(host.trainer.calls).toEqual(['create 0', 'save 0', 'pass 0']);
  });
});

describe('a gradient that no step uses', () => {
  const dropped = (run: string) => ({
    error: expect.stringMatching(new RegExp(`^the gradient of run .${run}. was dropped: .* not done`)),
    category: 'user',
  });
  const waits = async (): Promise<string> => {
    const { requestId } = service.createRun('t', newRun(session, { seqId: 1 }));
    await flush();
    return requestId;
  };

  it('is dropped when its run was idle for too long while another waits, and the next request says so, once', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    pass(a);
    await flush();
    const requestId = await waits();
    await tick(599_999);
    expect([answer(requestId), state(a)]).toEqual([null, 'ready']);
    await tick(1);
    expect([answer(requestId), state(a)]).toEqual([expect.objectContaining({ type: 'create_model' }), 'parked']);
    expect(log.warn).toHaveBeenCalledWith({ run: a }, 'training_gradient_dropped');
    const told = step(a);
    const then = pass(a);
    const done = step(a);
    await flush();
    expect([answer(told), answer(then)]).toEqual([dropped(a), 'protobuf']);
    expect([weightOf(done), state(a)]).toEqual([trained(2), 'ready']);
    // What went into the gradient that is gone is no part of a step.
    expect(service.watch.run(a)).toMatchObject({ steps: 2, loss: trained(1) });
  });

  it('stays while nobody waits, or its client comes in time', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await tick(600_000);
    expect(state(a)).toBe('ready');
    const requestId = await waits();
    const gate = host.trainer.hold('train_save');
    await tick(0);
    expect(state(a)).toBe('parked'); // on its way
    const done = step(a);
    gate.resolve();
    await flush();
    expect([weightOf(done), answer(requestId)]).toEqual([
      trained(1),
      { model_id: `${session}:train:1`, type: 'create_model' },
    ]);
  });

  it('stays when its run cannot be parked', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await waits();
    host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    await tick(600_000);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('is told of by the next server, too, and by its own until a client heard it', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await waits();
    await tick(600_000);
    expect(state(a)).toBe('parked');
    await restart({ maxRuns: 1, maxLifeMs: 3_600_000 });
    // Brought back by its end that fails, heard of by no client, and parked again.
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 7_200_000);
    host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    await tick(0);
    vi.mocked(Date.now).mockRestore();
    host.trainer.failures.clear();
    expect(host.trainer.calls).toEqual(['load 0', 'save 0']);
    await tick(600_000);
    expect(state(a)).toBe('parked');
    await restart();
    const told = pass(a);
    pass(a);
    const done = step(a);
    await flush();
    expect([answer(told), weightOf(done)]).toEqual([dropped(a), trained(1)]);
  });
});

describe('what can go wrong', () => {
  it('a full disk: the run stays, and who waits waits until there is room', async () => {
    const a = await create(0);
    host.trainer.failures.set('train_save', new TwinkleError('STORAGE_FAILED', 'no space left'));
    const { requestId } = service.createRun('t', newRun(session, { seqId: 1 }));
    await flush();
    expect([state(a), answer(requestId)]).toEqual(['ready', null]);
    const done = pass(a, true);
    await flush();
    expect([answer(done), log.warn.mock.calls.length]).toEqual(['protobuf', 1]);
    host.trainer.failures.clear();
    await tick(0);
    expect([state(a), answer(requestId)]).toEqual(['parked', { model_id: `${session}:train:1`, type: 'create_model' }]);
  });

  it('a copy that is damaged: the run is lost, with the reason', async () => {
    const a = await create(0);
    await create(1);
    host.trainer.failures.set('train_load', new TwinkleError('CHECKPOINT_DAMAGED', 'weights is not what was written'));
    const asked = pass(a);
    await flush();
    expect(answer(asked)).toMatchObject({ error: expect.stringContaining('not what was written'), category: 'server' });
    expect(state(a)).toBe('lost');
    host.trainer.failures.clear();
    expect(await create(2)).toBeTruthy();
    service.finish('t', session);
    await flush();
    expect([parked(), host.trainer.runs.size]).toEqual([[], 0]);
  });

  it('ranks that die while they load it: the request fails, the run is on disk still', async () => {
    const a = await create(0);
    await create(1);
    host.trainer.failures.set('train_load', new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    const asked = pass(a);
    await flush();
    const error = expect.stringMatching(/could not be loaded now \(rank 0 was killed\): ask again$/);
    expect([answer(asked), state(a)]).toEqual([{ error, category: 'server' }, 'parked']);
    host.restart();
    const again = pass(a);
    await flush();
    expect([answer(again), state(a)]).toEqual(['protobuf', 'ready']);
  });

  it('ranks that die: what is on them is lost, what is parked is not', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    await flush();
    const b = await create(1);
    host.restart();
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a), state(b)]).toEqual([trained(2), 'ready', 'lost']);
  });

  it('ranks that die while it is being parked: it is lost', async () => {
    const a = await create(0);
    host.trainer.failures.set('train_save', new TwinkleError('RANK_FAILED', 'rank 0 was killed'));
    const { requestId } = service.createRun('t', newRun(session, { seqId: 1 }));
    await flush();
    expect([state(a), answer(requestId)]).toEqual(['lost', expect.objectContaining({ type: 'create_model' })]);
  });
});

describe('the end of its session', () => {
  it('takes a parked run’s folder along', async () => {
    await create(0);
    await create(1);
    expect(parked()).toHaveLength(2);
    service.finish('t', session);
    await flush();
    expect([parked(), host.trainer.runs.size]).toEqual([[], 0]);
  });

  it('also of one that is being parked, or loaded', async () => {
    const gates = [host.trainer.hold('train_save')];
    await create(0);
    await create(1);
    service.finish('t', session);
    gates[0]?.resolve();
    await flush();
    expect([parked(), host.trainer.runs.size]).toEqual([[], 0]);

    host.trainer.held.clear();
    session = service.createSession('t', NEW).id;
    const a = await create(0);
    await create(1);
    const gate = host.trainer.hold('train_load');
    pass(a);
    await flush();
    service.finish('t', session);
    gate.resolve();
    await flush();
    expect([parked(), host.trainer.runs.size]).toEqual([[], 0]);
    session = service.createSession('t', NEW).id;
    expect(state(await create(0))).toBe('ready');
  });
});

describe('time', () => {
  it('parks a run that nobody asks anything of, and then ends ranks without runs', async () => {
    const a = await create(0);
    await tick(599_999);
    expect(state(a)).toBe('ready');
    await tick(1);
    expect([state(a), host.closed]).toEqual(['parked', []]);
    await tick(599_999);
    expect(host.closed).toEqual([]);
    await tick(1);
    await tick(600_000);
    expect(host.closed).toEqual(['demo']);
    host.restart();
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a)]).toEqual([trained(1), 'ready']);
  });

  it('leaves a run whose gradient waits where it is', async () => {
    const a = await create(0);
    pass(a);
    await flush();
    await tick(600_000);
    expect(state(a)).toBe('ready');
  });
});

describe('a server that was killed', () => {
  it('has parked runs still, and loses what was on the ranks', async () => {
    const a = await create(0);
    pass(a);
    step(a);
    await flush();
    const b = await create(1);
    await restart();
    expect([state(a), state(b)]).toEqual(['parked', 'lost']);
    pass(a);
    const done = step(a);
    await flush();
    expect([weightOf(done), state(a), service.run('t', a).corrupted]).toEqual([trained(2), 'ready', false]);
    await restart();
    expect(state(a)).toBe('lost');
  });

  it('fails what waited for a parked run, and goes on behind it', async () => {
    const a = await create(0);
    const b = await create(1);
    pass(b);
    await flush();
    const waits = pass(a);
    await flush();
    expect(paused(waits)).toContain('none of them is idle');
    await restart();
    const error = expect.stringContaining(`request 1 of run \`${a}\` was not done: ask again`);
    expect(answer(waits)).toEqual({ error, category: 'server' });
    pass(a);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('knows what had not been done when its run was parked', async () => {
    const a = await create(0);
    const gate = host.trainer.hold('train_save');
    await create(1);
    const early = pass(a);
    gate.resolve();
    host.trainer.hold('train_create');
    await flush();
    expect(state(a)).toBe('parked');
    await restart();
    expect(answer(early)).toMatchObject({ error: expect.stringContaining('was not done') });
    pass(a);
    const done = step(a);
    await flush();
    expect(weightOf(done)).toBe(trained(1));
  });

  it('shows how a parked run trained, and goes on with its curve', async () => {
    const begun = Date.now();
    const a = await create(0);
    await service.written(); // the journal has the run as it is now
    vi.spyOn(Date, 'now').mockReturnValue(begun + 60_000);
    for (let at = 0; at < 3; at++) {
      pass(a);
      step(a);
    }
    await flush();
    const before = service.watch.run(a);
    expect(before).toMatchObject({ steps: 3, datums: 3, loss: trained(2), lastRequest: begun + 60_000 });
    expect(before?.created).toBeLessThan(begun + 60_000);
    await create(1);
    vi.mocked(Date.now).mockReturnValue(begun + 120_000);
    await restart();
    vi.mocked(Date.now).mockRestore();
    expect(service.watch.run(a)).toEqual({ ...before, state: 'parked' });
    pass(a);
    step(a);
    await flush();
    const after = service.watch.run(a);
    expect(after).toMatchObject({ steps: 4, step: 4, datums: 4, loss: trained(3) });
    expect(after?.curve).toEqual([...(before?.curve ?? []), { step: 4, loss: trained(3), lossPerToken: null }]);
  });

  it('removes what no run has', async () => {
    await create(0);
    await create(1);
    expect(parked()).toHaveLength(2);
    await service.written();
    await service.close();
    rmSync(join(root, 'journal'), { recursive: true });
    open();
    await service.restore();
    service.checkpoints.of('t');
    vi.advanceTimersByTime(10_000);
    expect(parked()).toEqual([]);
  });
});
