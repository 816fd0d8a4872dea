import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

const LIFE_MS = 60_000;
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
let root: string;
let host: FakeHost;
let service: LocalTrainingService;
let session: string;
let run: string;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval', 'clearInterval'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-lives-'));
  host = new FakeHost();
  host.trainer.files = [];
  const rules = { maxLifeMs: LIFE_MS };
  const parts = { inference: new FakeInference(), trainers: host, sampling: new FakeSampling(), rules };
  service = new LocalTrainingService({ ...parts, checkpointFolder: root, nowMs: () => 0 });
  session = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
  ({ run } = service.createRun('t', newRun(session)));
  await flush();
});
afterEach(() => {
  service[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
  vi.useRealTimers();
});

async function pass(ms: number): Promise<void> {
  vi.setSystemTime(Date.now() + ms);
  vi.advanceTimersByTime(10_000);
  await flush();
}
const step = (seqId: number): string => service.step('t', { run, seqId, adam });

it('saves a run that is too old, behind what it was asked for, and says where it is', async () => {
  await pass(LIFE_MS - 10_001);
  expect(service.run('t', run).corrupted).toBe(false);
  const last = step(1);
  await pass(LIFE_MS);
  expect(host.trainer.methods()).toEqual(['train_create', 'train_step', 'train_save', 'train_drop']);
  expect(service.request('t', last)?.answer).toMatchObject({ kind: 'json' });
  const [kept] = service.checkpoints.of('t');
  expect(kept).toMatchObject({ bytes: 7, path: { run, kind: 'weights', name: expect.stringMatching(/^ended-\d+$/) } });
  const path = `tinker://${run}/weights/${kept?.path.name}`;
  expect(service.request('t', step(2))?.answer).toEqual({
    error: `run \`${run}\` has ended, as runs live 60 s here: go on from \`${path}\``,
    category: 'user',
  });
  expect(service.run('t', run).corrupted).toBe(true);
  await pass(LIFE_MS);
  expect(service.checkpoints.of('t')).toHaveLength(1);
});

it('goes on with one that could not be saved, and tries again', async () => {
  host.trainer.automatic = false;
  await pass(LIFE_MS);
  host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('STORAGE_FAILED', 'no space left'));
  await flush();
  host.trainer.automatic = true;
  const done = step(1);
  await flush();
  expect(service.request('t', done)?.answer).toMatchObject({ kind: 'json' });
  await pass(0);
  expect(service.checkpoints.of('t')).toHaveLength(1);
});

it('keeps nothing of one whose session ends while it is saved', async () => {
  host.trainer.automatic = false;
  await pass(LIFE_MS);
  expect(host.trainer.methods()).toEqual(['train_create', 'train_save']);
  service.finish('t', session);
  host.trainer.answer(1);
  await flush();
  expect(service.checkpoints.of('t')).toEqual([]);
});
