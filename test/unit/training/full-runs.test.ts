import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { readPath } from '../../../src/training/checkpoint-path.js';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { NewRun } from '../../../src/training/types.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { flush, newRun } from './fake-trainer.js';
import { trained, WeighingHost } from './weighing-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const work = { loss: 'x', config: {}, forward_only: false, tokens: Buffer.alloc(4), lengths: [1], inputs: [] };
const refused = (message: RegExp, param = 'lora_config.rank') =>
  expect.objectContaining({ status: 400, param, message: expect.stringMatching(message) as string });

let root: string;
let now = 0;
let host: WeighingHost;
let service: LocalTrainingService;
let sessions: Record<'t' | 'o', string>;

function open(rules: Partial<TrainingRules>): void {
  host = new WeighingHost();
  service = new LocalTrainingService({
    inference: new FakeInference(),
    trainers: host,
    sampling: new FakeSampling(),
    checkpointFolder: join(root, 'checkpoints'),
    rules: { idleMs: 1000, ...rules },
    nowMs: () => now,
  });
  sessions = { t: service.createSession('t', NEW).id, o: service.createSession('o', NEW).id };
}
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  now = 0;
  root = mkdtempSync(join(tmpdir(), 'twinkle-full-'));
  open({ full: true });
});
afterEach(async () => {
  await service.close();
  rmSync(root, { recursive: true, force: true });
  vi.useRealTimers();
});

let seqId = 0;
const create = (rank: number, tenant: 't' | 'o' = 't', changes: Partial<NewRun> = {}): string =>
  service.createRun(tenant, newRun(sessions[tenant], { rank, seqId: seqId++, ...changes })).run;
const state = (run: string) => service.watch.run(run)?.state;
const numbers = new Map<string, number>();
const next = (run: string): number => {
  numbers.set(run, (numbers.get(run) ?? 0) + 1);
  return numbers.get(run) ?? 0;
};
const pass = (run: string, tenant = 't'): string => service.compute(tenant, { run, seqId: next(run), work });
const step = (run: string, tenant = 't'): string => service.step(tenant, { run, seqId: next(run), adam });
const answer = (id: string, tenant = 't') => {
  const got = service.request(tenant, id)?.answer ?? null;
  return got !== null && 'kind' in got && got.kind === 'json' ? JSON.parse(Buffer.from(got.bytes).toString()) : got;
};
/** As long as it takes until what is idle is parked. */
async function idle(): Promise<void> {
  now += 1000;
  for (const tenant of ['t', 'o'] as const) service.heartbeat(tenant, sessions[tenant]);
  vi.advanceTimersByTime(1000);
  await flush();
}

describe('a run of rank 0', () => {
  it('is refused without --train-full, and made of the whole model with it', async () => {
    const run = create(0);
    await flush();
    expect([state(run), service.run('t', run).rank]).toEqual(['ready', 0]);
    await service.close();
    open({});
    expect(() => create(0)).toThrow(refused(/without --train-full: start it with that option, or take a rank from 1/));
    expect(service.runs('t')).toEqual([]);
  });

  it('is alone: nothing else is begun beside it, whoever asks, and its name is nobody else’s', async () => {
    const run = create(0);
    const over = refused(/^model `demo` is trained as a whole by a run of rank 0.*was idle for 1 s and is parked$/);
    for (const tenant of ['t', 'o'] as const) {
      expect(() => create(8, tenant)).toThrow(over); // also while it is made
      await flush();
      expect(() => create(8, tenant)).toThrow(over);
      expect(() => create(0, tenant)).toThrow(over);
    }
    expect(() => create(8, 'o')).not.toThrow(new RegExp(run));
    service.finish('t', sessions.t);
    const after = create(8, 'o');
    await flush();
    expect([state(after), host.trainer.runs.size]).toEqual(['ready', 1]);
  });

  it('is not begun beside adapters, until they have ended or are parked', async () => {
    const lora = create(8, 'o');
    const over = refused(/^model `demo` has LoRA runs on its ranks, beside which a run of rank 0 cannot/);
    expect(() => create(0)).toThrow(over);
    await flush();
    create(4, 'o');
    await flush();
    expect(() => create(0)).toThrow(over);
    await idle();
    expect(state(lora)).toBe('parked');
    const run = create(0);
    await flush();
    expect([state(run), [...host.trainer.runs.keys()]]).toEqual(['ready', [run]]);
  });

  it('takes turns with others once it was parked, and each ends as if it had been alone', async () => {
    const run = create(0);
    pass(run);
    const first = step(run);
    await flush();
    await idle();
    expect(state(run)).toBe('parked');
    const loras = [create(8, 'o'), create(8, 'o')];
    await flush();
    const gate = host.trainer.hold('train_pass');
    for (const lora of loras) pass(lora, 'o');
    pass(run);
    const second = step(run);
    await flush();
    expect([state(run), service.request('t', second)?.paused]).toEqual([
      'parked',
      'others of demo are trained now, and a run that trains all of it has to be alone',
    ]);
    // It waits, so nobody else begins.
    expect(() => create(8, 'o')).toThrow(refused(/as a whole/));
    host.trainer.held.clear();
    gate.resolve();
    const last = loras.map((lora) => step(lora, 'o'));
    for (let turn = 0; turn < 5; turn++) await flush();
    expect([run, ...loras].map(state)).toEqual(['ready', 'parked', 'parked']);
    const again = host.trainer.hold('train_pass');
    pass(run);
    const moved = pass(loras[0] ?? '', 'o');
    await flush();
    expect(service.request('o', moved)?.paused).toBe('a run trains all of demo now, and is not idle');
    host.trainer.held.clear();
    again.resolve();
    step(run);
    const third = step(loras[0] ?? '', 'o');
    for (let turn = 0; turn < 5; turn++) await flush();
    expect([run, loras[0] ?? ''].map(state)).toEqual(['parked', 'ready']);
    expect(service.request('o', moved)?.answer).not.toBeNull();
    const weight = (id: string, tenant: string) => answer(id, tenant).metrics['weight:mean'];
    const expected = [1, 2].map(trained);
    expect([weight(first, 't'), weight(second, 't')]).toEqual(expected);
    expect([weight(last[0] ?? '', 'o'), weight(third, 'o')]).toEqual(expected);
  });

  it('has no adapter to sample with: that is said, and what to do', async () => {
    const run = create(0);
    const save = (kind: 'sampler_weights' | 'weights', name: string) =>
      service.save('t', { run, seqId: next(run), kind, name, ttlSeconds: null, overwrite: false, userMetadata: null });
    const advice = /call save_weights_external, and serve the folder/;
    expect(() => service.handOver('t', { run, seqId: 1, samplerSeqId: 0, follows: false })).toThrow(
      refused(advice, 'model_id'),
    );
    const saved = save('sampler_weights', 'named');
    await flush();
    expect(answer(saved)).toMatchObject({ type: 'save_weights_for_sampler' });
    const of = { from: readPath(answer(saved).path, 'path') };
    expect(() => service.createSampler('t', { session: sessions.t, seqId: 0, of })).toThrow(
      refused(advice, 'model_path'),
    );
  });

  it('goes on from its own kind of checkpoint alone, and begins from one under the same rules', async () => {
    const run = create(0);
    const request = { ttlSeconds: null, overwrite: false, userMetadata: null, kind: 'weights' } as const;
    const saved = service.save('t', { ...request, run, seqId: next(run), name: 'whole' });
    await flush();
    const from = readPath(answer(saved).path, 'path');
    const resume = () =>
      service.resume('t', { session: sessions.t, seqId: 99, from, reader: 't', optimizer: true, userMetadata: null });
    expect(resume).toThrow(refused(/as a whole/));
    service.load('t', { run, seqId: next(run), from, reader: 't', optimizer: true });
    await flush();
    await idle();
    const lora = create(8);
    await flush();
    expect(() => service.load('t', { run: lora, seqId: 1, from, reader: 't', optimizer: true })).toThrow(
      /is of `demo` with all parameters, this run of `demo` with LoRA rank 8/,
    );
    await idle();
    const again = resume();
    await flush();
    expect([service.run('t', again.run).rank, state(again.run)]).toEqual([0, 'ready']);
  });
});
