import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { IDLE_MS } from '../../../src/training/hand-overs.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

let root: string;
let trainers: FakeHost;
let sampling: FakeSampling;
let service: LocalTrainingService;
let session: string;
let run: string;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-hand-overs-'));
  trainers = new FakeHost();
  trainers.trainer.files = [];
  sampling = new FakeSampling();
  const parts = { inference: new FakeInference(), trainers, sampling, checkpointFolder: root };
  service = new LocalTrainingService({ ...parts, nowMs: () => 0 });
  session = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null }).id;
  ({ run } = service.createRun('t', newRun(session)));
});
afterEach(() => {
  service[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
  vi.useRealTimers();
});

async function answer(id: string): Promise<Record<string, unknown>> {
  await flush();
  const got = service.request('t', id)?.answer;
  if (got == null) throw new Error('no answer');
  return 'error' in got ? { ...got } : JSON.parse(Buffer.from(got.bytes).toString());
}
/** The sampler that it made. */
async function handOver(seqId: number, follows = false): Promise<string> {
  const id = service.handOver('t', { run, seqId, samplerSeqId: seqId, follows });
  const said = await answer(id);
  if (typeof said.sampling_session_id !== 'string') throw new Error(JSON.stringify(said));
  return said.sampling_session_id;
}
let asked = 0n;
/** Folder that the next sample of a sampler comes from. */
function folderOf(sampler: string): string {
  asked += 1n;
  service.sample('t', sampleRequest(sampler, { seqId: asked }));
  return sampling.told.at(-1)?.[2] ?? '';
}

it('gives each sampler the weights of its moment', async () => {
  const [first, second] = [await handOver(1), await handOver(2)];
  expect(first).toBe(`${session}:sample:1`);
  expect(trainers.trainer.sent.at(-1)?.params).toMatchObject({ handed_over: true, optimizer: false });
  expect(sampling.told.map(([what]) => what)).toEqual(['prepare', 'prepare']);
  const folders = [folderOf(first), folderOf(second), folderOf(first)];
  expect(folders[0]).toBe(folders[2]);
  expect(folders[0]).not.toBe(folders[1]);
  expect(folders.every((folder) => existsSync(folder))).toBe(true);
  expect(new Set(sampling.told.map(([, name]) => name)).size).toBe(2);
});

it('gives those that follow the newest weights, under one name', async () => {
  const first = await handOver(1, true);
  const older = folderOf(first);
  const second = await handOver(2, true);
  expect(folderOf(first)).toBe(folderOf(second));
  expect(folderOf(first)).not.toBe(older);
  expect(existsSync(older)).toBe(false);
  expect(sampling.told.map(([what]) => what).slice(0, 5)).toEqual([
    'replace',
    'prepare',
    'generate',
    'replace',
    'prepare',
  ]);
  expect(new Set(sampling.told.map(([, name]) => name)).size).toBe(1);
});

it('lists nothing of it, and lets no client name it', async () => {
  const sampler = await handOver(1);
  expect(service.checkpoints.of('t')).toEqual([]);
  expect(service.sampler('t', sampler).from?.kind).toBe('handed_over');
});

it('fails with what engines say against the weights, and the run goes on', async () => {
  sampling.failure = new TwinkleError('INVALID_REQUEST', 'LoRA rank 64 is over max_lora_rank 16');
  const id = service.handOver('t', { run, seqId: 1, samplerSeqId: 1, follows: false });
  expect(await answer(id)).toEqual({ error: 'LoRA rank 64 is over max_lora_rank 16', category: 'user' });
  sampling.failure = null;
  await handOver(2);
});

it('is refused at once for a model whose engines take none', () => {
  sampling.takes = false;
  const ask = () => service.handOver('t', { run, seqId: 1, samplerSeqId: 1, follows: false });
  expect(ask).toThrow('--enable-lora');
});

it('drops weights that nobody sampled from, but for the newest of a run', async () => {
  const [first, second, third] = [await handOver(1), await handOver(2), await handOver(3)];
  const unused = folderOf(second);
  vi.setSystemTime(Date.now() + IDLE_MS - 1);
  const used = folderOf(first);
  vi.setSystemTime(Date.now() + 2);
  vi.advanceTimersByTime(10_000);
  await flush();
  expect([existsSync(unused), existsSync(used)]).toEqual([false, true]);
  expect(sampling.told.filter(([what]) => what === 'forget')).toHaveLength(1);
  expect(() => folderOf(second)).toThrow('for 30 minutes');
  expect(existsSync(folderOf(third))).toBe(true);
});

it('ends with its session', async () => {
  const folder = folderOf(await handOver(1));
  service.finish('t', session);
  await flush();
  expect(existsSync(folder)).toBe(false);
  expect(sampling.told.at(-1)?.[0]).toBe('forget');
});
