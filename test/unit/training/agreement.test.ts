import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun } from './fake-trainer.js';

let root: string;
let trainers: FakeHost;
let sampling: FakeSampling;
let service: LocalTrainingService;
let run: string;
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date', 'setInterval'] });
  root = mkdtempSync(join(tmpdir(), 'twinkle-agreement-'));
  trainers = new FakeHost();
  trainers.trainer.files = [];
  sampling = new FakeSampling();
  const parts = { inference: new FakeInference(), trainers, sampling, checkpointFolder: root };
  service = new LocalTrainingService({ ...parts, nowMs: () => 0 });
  const { id } = service.createSession('t', { idempotencyKey: null, userMetadata: null, displayName: null });
  ({ run } = service.createRun('t', newRun(id)));
});
afterEach(() => {
  service[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
  vi.useRealTimers();
});

const bytes = (tokens: number[]) => new Uint8Array(Int32Array.from(tokens).buffer);
const work = { loss: 'ppo', config: {}, forward_only: false, inputs: [] };
let seqId: number;
beforeEach(() => {
  seqId = 0;
});
async function train(tokens: number[], first = tokens.length): Promise<void> {
  seqId += 1;
  const lengths = [first, tokens.length - first].filter((length) => length > 0);
  service.compute('t', { run, seqId, work: { ...work, tokens: bytes(tokens), lengths } });
  await flush();
}
async function handOver(): Promise<void> {
  seqId += 1;
  service.handOver('t', { run, seqId, samplerSeqId: seqId, follows: false });
  await flush();
}
const passes = () => trainers.trainer.sent.filter(({ method }) => method === 'train_pass').map(({ params }) => params);
const gap = () => service.watch.run(run)?.samplerGap;
/** The sampler answers for the prompt's tokens; the first has no log-probability. */
function sampled(...logprobs: number[]): void {
  const tokens = [null, ...logprobs].map((logprob, at) => ({ id: at, logprob, rank: 1, token: '', top: [] }));
  const sink = sampling.sinks.at(-1);
  sink?.delta({
    index: 0,
    text: '',
    token_ids: [1],
    finish: 'length',
    logprobs: [{ id: 1, logprob: -1, rank: 1, token: '', top: [] }],
    prompt: { token_ids: [], text: null, logprobs: tokens },
  } as never);
  sink?.end({ prompt_tokens: tokens.length, completion_tokens: 1, cached_tokens: 0 } as never);
}

it('is the greatest difference over the first datum, of the weights that were handed over', async () => {
  await train([5, 6, 7, 8], 2);
  await handOver();
  const probe = passes().at(-1) as unknown as { works: Record<string, unknown>[] };
  expect(trainers.trainer.methods().slice(-2)).toEqual(['train_save', 'train_pass']); // in one turn
  expect(probe.works[0]).toMatchObject({ forward_only: true, lengths: [1], tokens: bytes([5]) });
  expect(sampling.told.map(([what]) => what)).toEqual(['prepare', 'generate']);
  expect(gap()).toBeNull();
  sampled(-0.75); // the trainer says -0.5
  await flush();
  expect(gap()).toBeCloseTo(0.25);
});

it('is looked at every 30 s at most, and never before there is a pass', async () => {
  await handOver();
  await train([5, 6]);
  await handOver();
  await handOver();
  vi.setSystemTime(Date.now() + 30_000);
  await handOver();
  expect(sampling.told.filter(([what]) => what === 'generate')).toHaveLength(2);
});

it('is left out where either has no answer', async () => {
  await train([5, 6]);
  await handOver();
  expect(sampling.sinks).toHaveLength(1);
  sampling.sinks.at(-1)?.error(Object.assign(new Error('gone'), { code: 'ENGINE_ERROR' }) as never);
  await flush();
  expect(gap()).toBeNull();
});
