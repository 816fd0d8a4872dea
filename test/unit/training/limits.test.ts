import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readPath } from '../../../src/training/checkpoint-path.js';
import type { TrainingRules } from '../../../src/training/limits.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
let root: string;
let host: FakeHost;
let inference: FakeInference;
let service: LocalTrainingService;

function open(rules: Partial<TrainingRules>): void {
  host = new FakeHost();
  host.trainer.files = [];
  inference = new FakeInference();
  const parts = { inference, trainers: host, sampling: new FakeSampling(), checkpointFolder: join(root, 'c') };
  const journalFolder = join(root, 'journal');
  service = new LocalTrainingService({ ...parts, journalFolder, rules, nowMs: () => 0 });
}
async function restart(rules: Partial<TrainingRules>): Promise<void> {
  await service.written();
  await service.close();
  open(rules);
  await service.restore();
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'twinkle-limits-'));
});
afterEach(async () => {
  await service.close();
  rmSync(root, { recursive: true, force: true });
});

const begin = (tenant = 't'): string => service.createSession(tenant, NEW).id;
const refusal = (message: RegExp) =>
  expect.objectContaining({ status: 400, message: expect.stringMatching(message) as string });

it('so many sessions of a key, in a server after this one too', async () => {
  open({ sessions: 2 });
  const [first] = [begin(), begin()];
  const over = refusal(/2 sessions, which is the limit: end some/);
  expect(() => begin()).toThrow(over);
  begin('o');
  await restart({ sessions: 2 });
  expect(() => begin()).toThrow(over);
  service.finish('t', first ?? '');
  begin();
  expect(() => begin()).toThrow(over);
});

it('so many runs of a key; what could not be made, or is over, is none', async () => {
  open({ runs: 2 });
  const session = begin();
  const make = (seqId: number, of = session) => service.createRun(of === session ? 't' : 'o', newRun(of, { seqId }));
  host.failure = new Error('no memory');
  make(0);
  await flush();
  host.failure = null;
  make(1);
  make(2);
  const over = refusal(/trains 2 runs/);
  expect(() => make(3)).toThrow(over);
  expect(make(2).run).toBe(`${session}:train:2`);
  make(0, begin('o'));
  await flush();
  await restart({ runs: 2 });
  expect(() => make(3)).toThrow(over);
  service.finish('t', session);
  const next = begin();
  service.createRun('t', newRun(next));
});

it('so many sampling sessions of a key', async () => {
  open({ samplers: 1 });
  const session = begin();
  const make = (seqId: number, of = session) =>
    service.createSampler('t', { session: of, seqId, of: { baseModel: 'demo' } });
  make(0);
  make(0);
  expect(() => make(1)).toThrow(refusal(/1 sampling sessions/));
  service.finish('t', session);
  make(0, begin());
});

it('so many requests without an answer: one more comes again later, under its number', async () => {
  open({ pending: 2 });
  const session = begin();
  const { run } = service.createRun('t', newRun(session));
  const { id: sampler } = service.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } });
  await flush();
  host.trainer.automatic = false;
  const ask = (seqId: number) => service.step('t', { run, seqId, adam });
  const first = ask(1);
  ask(2);
  const over = expect.objectContaining({ code: 'OVERLOADED', status: 429, retryAfterMs: 1000 });
  expect(() => ask(3)).toThrow(over);
  expect(() => service.sample('t', sampleRequest(sampler))).toThrow(over);
  expect(ask(1)).toBe(first);
  await flush();
  host.trainer.answer(1);
  await flush();
  expect(service.request('t', ask(3))?.answer).toBeNull();
  expect(() => ask(4)).toThrow(over);
  service.finish('t', session);
  service.createRun('t', newRun(begin()));
});

it('so many bytes of checkpoints: what would be too much is not kept', async () => {
  open({ maxCheckpointBytes: 15 });
  const session = begin();
  const { run } = service.createRun('t', newRun(session));
  let seqId = 0;
  const save = async (name: string, overwrite = false) => {
    const more = { ttlSeconds: null, overwrite, userMetadata: null };
    seqId += 1;
    const id = service.save('t', { run, seqId, kind: 'weights', name, ...more });
    await flush();
    const answer = service.request('t', id)?.answer ?? null;
    return answer !== null && 'error' in answer ? answer : null;
  };
  expect([await save('a'), await save('b')]).toEqual([null, null]); // 7 bytes each
  const over = { error: expect.stringContaining('more than 15 bytes'), category: 'user' };
  expect(await save('c')).toEqual(over);
  expect(service.checkpoints.of('t')).toHaveLength(2);
  expect(readdirSync(join(root, 'c'), { recursive: true }).filter((name) => /c@[^/]*$/.test(String(name)))).toEqual([]);
  expect(await save('b', true)).toBeNull();
  const path = (name: string) => readPath(`tinker://${run}/weights/${name}`);
  const copy = { from: path('a'), run: `${session}:train:9`, ttlSeconds: null, reader: 't' };
  await expect(service.checkpoints.copy('t', copy)).rejects.toThrow('more than 15 bytes');
  await restart({ maxCheckpointBytes: 15 });
  await expect(service.checkpoints.copy('t', copy)).rejects.toThrow('more than 15 bytes');
  await service.checkpoints.remove('t', path('b'));
  expect((await service.checkpoints.copy('t', copy)).bytes).toBe(7);
});
