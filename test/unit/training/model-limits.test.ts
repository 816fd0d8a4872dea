/** What a model has for itself of runs at a time, of their age and of training all of it, over what is said of all models. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { ModelLimits } from '../../../src/training/trainer.js';
import type { NewRun } from '../../../src/training/types.js';
import { FakeInference, servedModel } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { flush, newRun } from './fake-trainer.js';
import { WeighingHost } from './weighing-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const work = { loss: 'x', config: {}, forward_only: true, tokens: Buffer.alloc(4), lengths: [1], inputs: [] };

/** `demo` and `other` are served; `alone` is trained, and not served. */
class Host extends WeighingHost {
  limited: Record<string, ModelLimits> = {};

  limits(model: string): ModelLimits | null {
    return this.limited[model] ?? null;
  }

  trainedOnly() {
    return [{ name: 'alone', maxModelLen: 64 }];
  }

  override folder(model = ''): string {
    return `/models/${model}`;
  }
}
const limits = (change: Partial<ModelLimits>): ModelLimits => ({ maxRuns: 1, full: false, maxLifeMs: null, ...change });

let root: string;
let host: Host;
let service: LocalTrainingService;
let sampling: FakeSampling;
let session: string;
let seqId = 0;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-limits-'));
  host = new Host();
});
afterEach(async () => {
  await service.close();
  rmSync(root, { recursive: true, force: true });
  vi.useRealTimers();
});

function open(limited: Record<string, ModelLimits>, rules: Partial<TrainingRules> = {}): void {
  host.limited = limited;
  const inference = new FakeInference();
  const names = [['demo'], ['other']];
  inference.served = names.map((of) => servedModel({ names: of, card: null }));
  sampling = new FakeSampling();
  const parts = { inference, trainers: host, sampling, rules, nowMs: () => 0 };
  service = new LocalTrainingService({ ...parts, checkpointFolder: join(root, 'checkpoints') });
  session = service.createSession('t', NEW).id;
}
async function create(baseModel: string, change: Partial<NewRun> = {}): Promise<string> {
  const { run } = service.createRun('t', newRun(session, { baseModel, seqId: seqId++, ...change }));
  await flush();
  return run;
}
const states = (...runs: readonly string[]) => runs.map((run) => service.watch.run(run)?.state);
const lives = async (ms: number): Promise<void> => {
  vi.setSystemTime(Date.now() + ms);
  vi.advanceTimersByTime(10_000);
  await flush();
};

describe('runs at a time', () => {
  it('are as many as each model has room for', async () => {
    open({ demo: limits({ maxRuns: 2 }), alone: limits({ maxRuns: 1 }) }, { maxRuns: 3 });
    const demo = [await create('demo'), await create('demo'), await create('demo')];
    expect(states(...demo)).toEqual(['parked', 'ready', 'ready']);
    const other = [await create('other'), await create('other'), await create('other')];
    expect(states(...other)).toEqual(['ready', 'ready', 'ready']);
    const alone = [await create('alone'), await create('alone')];
    expect(states(...alone)).toEqual(['parked', 'ready']);
  });

  it('that one waits for are those of its model', async () => {
    open({ demo: limits({ maxRuns: 1 }) }, { maxRuns: 3 });
    const run = await create('demo');
    const gate = host.trainer.hold('train_pass');
    service.compute('t', { run, seqId: 1, work });
    await flush();
    const { requestId } = service.createRun('t', newRun(session, { baseModel: 'demo', seqId: seqId++ }));
    await flush();
    expect(service.request('t', requestId)?.paused).toBe('1 runs of demo are trained now, and none of them is idle');
    gate.resolve();
    await flush();
  });

  it('are counted over all models that are trained, served or not', async () => {
    open({ demo: limits({ maxRuns: 2 }), alone: limits({ maxRuns: 5 }) }, { maxRuns: 3 });
    await create('alone');
    expect(service.capacity()).toEqual({ most: 2 + 3 + 5, used: 1 });
    host.trains = (model?: string) => model !== 'other';
    expect(service.capacity().most).toBe(2 + 5);
  });
});

describe('all of a model', () => {
  const whole = { rank: 0 };

  it('is trained where that model says so, whatever is said of all', async () => {
    open({ demo: limits({ full: true }), alone: limits({ full: false }) }, { full: false });
    expect(states(await create('demo', whole))).toEqual(['ready']);
    await expect(create('other', whole)).rejects.toMatchObject({ status: 400 });
    await expect(create('alone', whole)).rejects.toMatchObject({ status: 400 });
    await service.close();
    open({ demo: limits({ full: false }) }, { full: true });
    await expect(create('demo', whole)).rejects.toMatchObject({ status: 400 });
    expect(states(await create('other', whole))).toEqual(['ready']);
  });
});

describe('how long runs live', () => {
  it('is said by each model, and else for all', async () => {
    open({ demo: limits({ maxLifeMs: 60_000 }), alone: limits({ maxLifeMs: null }) }, { maxLifeMs: 200_000 });
    const [demo, other, alone] = [await create('demo'), await create('other'), await create('alone')];
    const over = () => [demo, other, alone].map((run) => service.run('t', run ?? '').corrupted);
    await lives(40_000);
    expect(over()).toEqual([false, false, false]);
    await lives(20_000);
    expect(over()).toEqual([true, false, false]);
    await lives(150_000);
    expect(over()).toEqual([true, true, false]);
  });

  it('has no end where nobody says one', async () => {
    open({});
    const run = await create('demo');
    await lives(10 ** 10);
    expect(service.run('t', run).corrupted).toBe(false);
  });
});

describe('a model that is trained and not served', () => {
  it('is trained like others, and told of with where it comes from', async () => {
    open({});
    const run = await create('/models/alone');
    expect(service.run('t', run)).toMatchObject({ folder: '/models/alone', corrupted: false });
    expect(service.capabilities()).toEqual([{ model: 'alone', maxContextLength: 64, trainable: true }]);
    service.compute('t', { run, seqId: 1, work });
    await flush();
    expect(host.trainer.calls.at(-1)).toMatch(/^pass /);
  });

  it('is not sampled from: neither itself, nor what was trained of it, nor what is handed over', async () => {
    open({});
    const run = await create('alone');
    const words = 'model `alone` is trained here, and nothing samples from it: serve it, too';
    const sampler = { session, seqId: 1 };
    expect(() => service.createSampler('t', { ...sampler, of: { baseModel: 'alone' } })).toThrow(words);
    service.save('t', { run, seqId: 1, kind: 'sampler_weights', name: 'one' } as never);
    await flush();
    const from = { run, kind: 'sampler_weights', name: 'one' } as const;
    expect(() => service.createSampler('t', { ...sampler, of: { from } })).toThrow(words);
    const handOver = { run, seqId: 2, samplerSeqId: 1, follows: false };
    expect(() => service.handOver('t', handOver as never)).toThrow(words);
    // It goes on all the same.
    expect(states(run)).toEqual(['ready']);
  });
});
