/** What is asked of runs and waited for at once, over ranks that the test plays. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../../../src/protocol/defaults.js';
import type { GenerateParams } from '../../../src/protocol/values.js';
import { Admission, type AdmissionLimits } from '../../../src/training/admission.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import type { ServiceOptions } from '../../../src/training/service-options.js';
import { FakeInference, servedModel } from '../gateway/fake-inference.js';
import { FakeSampling } from './fake-sampling.js';
import { FakeHost, flush, newRun, outcome } from './fake-trainer.js';

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const work = (loss = 'x', lengths = [1]) => ({
  ...{ loss, config: {}, forward_only: false, tokens: Buffer.alloc(4), lengths, inputs: [] },
});
const NO_LIMITS: AdmissionLimits = {
  ...{ requests: null, tokens: null, windowMs: 1000, maxInputTokens: null },
  ...{ queueTimeoutMs: null, executionTimeoutMs: null },
};

let root: string;
let host: FakeHost;
let inference: FakeInference;
let sampling: FakeSampling;
let service: LocalTrainingService;
let session: string;
let now = 0;

function open(options: Partial<ServiceOptions> = {}): void {
  host = new FakeHost();
  host.trainer.files = ['adapter_config.json', 'manifest.json'];
  inference = new FakeInference();
  sampling = new FakeSampling();
  const parts = { inference, sampling, trainers: host, checkpointFolder: join(root, 'checkpoints') };
  service = new LocalTrainingService({ ...parts, nowMs: () => now, ...options });
  session = service.createSession('t', NEW).id;
}
const admissions = (limits: Partial<AdmissionLimits>) => {
  const made = (of: string) => new Admission({ ...NO_LIMITS, ...limits }, of, () => now);
  const [training, samples] = [made('model demo'), made('sampler demo')];
  return { admissions: { training: () => training, sampling: () => samples } };
};
const create = (): string => service.createRun('t', newRun(session)).run;

beforeEach(() => {
  now = 0;
  root = mkdtempSync(join(tmpdir(), 'twinkle-direct-'));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  open();
});
afterEach(async () => {
  await service.close();
  vi.useRealTimers();
  rmSync(root, { recursive: true, force: true });
});

describe('direct calls', () => {
  it('are done in their order, before the run is there, too, and answer with what the ranks say', async () => {
    const run = create();
    const { direct } = service;
    const answers = await Promise.all([
      direct.made('t', run),
      direct.pass('t', run, work()),
      direct.norm('t', run, { gradient_scale: 0.5, norm_type: 1 }),
      direct.step('t', run, adam),
      direct.zero('t', run),
    ]);
    expect(host.trainer.methods()).toEqual(['train_create', 'train_pass', 'train_norm', 'train_step', 'train_zero']);
    expect(answers).toEqual([undefined, outcome(), 3, { 'grad_norm:mean': 2 }, undefined]);
    expect(host.trainer.sent[2]?.params).toEqual({ run, gradient_scale: 0.5, norm_type: 1 });
  });

  it('stand behind requests with numbers, which go on with the same number', async () => {
    const run = create();
    const first = service.compute('t', { run, seqId: 1, work: work('numbered') });
    const direct = service.direct.pass('t', run, work('direct'));
    expect(service.run('t', run).next).toBe(1);
    await direct;
    expect(service.run('t', run).next).toBe(2);
    service.step('t', { run, seqId: 2, adam });
    await flush();
    expect(host.trainer.methods().slice(1)).toEqual(['train_pass', 'train_pass', 'train_step']);
    expect(service.request('t', first)?.answer).toMatchObject({ kind: 'protobuf' });
  });

  it('of another key, or of a run that there is none of, are refused', async () => {
    const run = create();
    const { direct } = service;
    for (const [tenant, id] of [
      ['o', run],
      ['t', 'nobody'],
    ] as const) {
      for (const call of [
        direct.pass(tenant, id, work()),
        direct.step(tenant, id, adam),
        direct.norm(tenant, id, { gradient_scale: 1, norm_type: 2 }),
        direct.zero(tenant, id),
        direct.made(tenant, id),
      ])
        await expect(call).rejects.toMatchObject({ code: 'RUN_NOT_FOUND', status: 404 });
    }
  });

  it('keep the session of their run', async () => {
    const run = create();
    for (let time = 0; time < 5; time++) {
      now += 200_000;
      await service.direct.pass('t', run, work());
      vi.advanceTimersByTime(10_000);
    }
    expect(service.sessions('t')).toHaveLength(1);
    now += 301_000;
    vi.advanceTimersByTime(10_000);
    expect(service.sessions('t')).toEqual([]);
    await expect(service.direct.pass('t', run, work())).rejects.toMatchObject({ status: 404 });
  });

  it('fail with what the ranks said of them, by whose fault it is', async () => {
    const run = create();
    await flush();
    host.trainer.automatic = false;
    for (const [user, status] of [
      [true, 400],
      [false, 500],
    ] as const) {
      const call = service.direct.pass('t', run, work());
      await flush();
      const failure = { message: 'a bad batch', user };
      host.trainer.sent.at(-1)?.answer.resolve({ outcomes: [outcome({ failure })] } as never);
      await expect(call).rejects.toMatchObject({ status, message: 'a bad batch' });
    }
    expect(service.run('t', run).corrupted).toBe(false);
  });

  it('lose the run with its ranks, and say so from then on', async () => {
    const run = create();
    await flush();
    host.trainer.automatic = false;
    const call = service.direct.pass('t', run, work());
    await flush();
    host.trainer.sent.at(-1)?.answer.reject(new TwinkleError('RANK_FAILED', 'rank 0 was killed') as never);
    await expect(call).rejects.toThrow('rank 0 was killed');
    for (const after of [service.direct.step('t', run, adam), service.direct.made('t', run)])
      await expect(after).rejects.toThrow(/lost its weights \(rank 0 was killed\): begin anew/);
  });

  it('on a run that could not be made say why', async () => {
    host.failure = new TwinkleError('GANG_FAILED', 'no such device');
    const run = create();
    await expect(service.direct.made('t', run)).rejects.toThrow('no such device');
    expect(service.runs('t')).toEqual([]);
  });

  it('zero forgets the gradient: the run may be parked without a word', async () => {
    const run = create();
    await service.direct.pass('t', run, work());
    await service.direct.zero('t', run);
    expect(service.watch.run(run)).toMatchObject({ state: 'ready', steps: 0 });
    await service.direct.pass('t', run, work());
    await service.direct.step('t', run, adam);
    expect(service.watch.run(run)).toMatchObject({ steps: 1, loss: 1 });
  });
});

describe('limits', () => {
  it('of requests are counted for direct ones and numbered ones together, by key', async () => {
    open(admissions({ requests: 2 }));
    const run = create();
    await service.direct.pass('t', run, work());
    service.compute('t', { run, seqId: 1, work: work() });
    now = 250;
    await expect(service.direct.pass('t', run, work())).rejects.toMatchObject({ status: 429, retryAfterMs: 750 });
    expect(() => service.compute('t', { run, seqId: 2, work: work() })).toThrow('sent model demo 2 requests');
    // What is not a pass is not counted, and one that was refused is asked again under its number.
    await service.direct.step('t', run, adam);
    now = 1000;
    service.compute('t', { run, seqId: 2, work: work() });
    expect(service.compute('t', { run, seqId: 2, work: work() })).toBeTypeOf('string');
    await flush();
    expect(host.trainer.methods().filter((method) => method === 'train_pass')).toHaveLength(3);
  });

  it('of tokens are of all datums of a pass', async () => {
    open(admissions({ maxInputTokens: 5 }));
    const run = create();
    await service.direct.pass('t', run, work('x', [2, 3]));
    await expect(service.direct.pass('t', run, work('x', [3, 3]))).rejects.toMatchObject({ status: 400 });
  });

  it('of waiting: a pass that waited too long is never sent, and its gradient does not count', async () => {
    open(admissions({ queueTimeoutMs: 1000 }));
    const run = create();
    await flush();
    host.trainer.automatic = false;
    const begun = [service.direct.pass('t', run, work('one')), service.direct.pass('t', run, work('two'))];
    const late = service.direct.pass('t', run, work('late'));
    const numbered = service.compute('t', { run, seqId: 1, work: work('late, too') });
    await flush();
    vi.advanceTimersByTime(1000);
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504 });
    expect(service.request('t', numbered)?.answer).toMatchObject({ error: expect.stringContaining('more than 1 s') });
    host.trainer.automatic = true;
    for (let at = 1; at < host.trainer.sent.length; at++) host.trainer.answer(at);
    await Promise.all(begun);
    await service.direct.step('t', run, adam);
    const sent = host.trainer.sent.flatMap(({ method, params }) =>
      method === 'train_pass' ? (params as { works: { loss: string }[] }).works.map(({ loss }) => loss) : [],
    );
    expect(sent).toEqual(['one', 'two']);
    expect(service.watch.run(run)).toMatchObject({ steps: 1, datums: 2, loss: 2 });
  });

  it('are of passes and steps: what keeps weights takes the time that it takes', async () => {
    open(admissions({ queueTimeoutMs: 1000, executionTimeoutMs: 500 }));
    const run = create();
    await flush();
    host.trainer.automatic = false;
    const made = service.direct.zero('t', run);
    const norm = service.direct.norm('t', run, { gradient_scale: 1, norm_type: 2 });
    norm.catch(() => {});
    await flush();
    vi.advanceTimersByTime(60_000);
    host.trainer.automatic = true;
    for (let at = 1; at < host.trainer.sent.length; at++) host.trainer.answer(at);
    await expect(made).resolves.toBeUndefined();
    await expect(service.direct.step('t', run, adam)).resolves.toBeDefined();
  });

  it('of computing: the request fails, and the run goes on', async () => {
    open(admissions({ executionTimeoutMs: 500 }));
    const run = create();
    await flush();
    host.trainer.automatic = false;
    const slow = service.direct.pass('t', run, work('slow'));
    await flush();
    vi.advanceTimersByTime(500);
    await expect(slow).rejects.toThrow('is computed for more than 0.5 s');
    host.trainer.automatic = true;
    host.trainer.answer(1);
    await flush();
    await expect(service.direct.pass('t', run, work())).resolves.toMatchObject({ failure: null });
    expect(service.watch.run(run)).toMatchObject({ state: 'ready', queued: 0 });
  });
});

describe('samples', () => {
  const params: GenerateParams = {
    ...{ request_id: 'q', n: 1, echo: false },
    prompt: { ...EMPTY_PROMPT, token_ids: [1, 2, 3], add_generation_prompt: false, add_special_tokens: false },
    sampling: { ...DEFAULT_SAMPLING, max_tokens: 2 },
  };
  const heard = () => {
    const text: string[] = [];
    return { text, sink: { delta: (one: { text: string }) => text.push(one.text), end() {}, error() {} } };
  };

  const save = (run: string, kind: 'weights' | 'sampler_weights'): string => {
    const request = { name: 'one', ttlSeconds: null, overwrite: true, userMetadata: null };
    return service.save('t', { run, seqId: 1, kind, ...request });
  };

  it('come from the model, or from what was saved of a run', async () => {
    const { sink, text } = heard();
    service.direct.generate('t', { baseModel: 'demo' }, params, sink as never);
    await flush();
    expect(text.length).toBeGreaterThan(0);
    const run = create();
    save(run, 'sampler_weights');
    await flush();
    const from = { run, kind: 'sampler_weights', name: 'one' } as const;
    service.direct.generate('t', { baseModel: 'demo', from }, params, sink as never);
    expect(sampling.told.map(([what]) => what)).toEqual(['generate']);
    expect(() => service.direct.generate('o', { baseModel: 'demo', from }, params, sink as never)).toThrow(
      expect.objectContaining({ code: 'CHECKPOINT_NOT_FOUND' }),
    );
    expect(() => service.direct.generate('t', { baseModel: 'none' }, params, sink as never)).toThrow('no model `none`');
    sampling.takes = false;
    expect(() => service.direct.generate('t', { baseModel: 'demo', from }, params, sink as never)).toThrow(
      expect.objectContaining({ status: 400 }),
    );
  });

  it('of a model are not made with what was trained of another', async () => {
    const run = create();
    save(run, 'weights');
    await flush();
    inference.served.push(servedModel({ names: ['other'], card: null }));
    const from = { run, kind: 'weights', name: 'one' } as const;
    expect(() => service.direct.generate('t', { baseModel: 'other', from }, params, heard().sink as never)).toThrow(
      'expected weights of `other` but those were trained of `demo`',
    );
  });

  it('are counted in once for a request, apart from passes', () => {
    open(admissions({ requests: 1, maxInputTokens: 10 }));
    service.direct.admitSamples('t', 'demo', 10);
    expect(() => service.direct.admitSamples('t', 'demo', 1)).toThrow('sent sampler demo 1 requests');
    expect(() => service.direct.admitSamples('o', 'demo', 11)).toThrow('over the 10');
    expect(() => service.direct.admitSamples('o', 'none', 1)).toThrow('no model `none`');
    for (let time = 0; time < 5; time++)
      service.direct.generate('t', { baseModel: 'demo' }, params, heard().sink as never);
  });

  it('can be asked of all models that are served', () => {
    expect(service.direct.sampled()).toEqual(['demo', 'alias/with-slash']);
  });
});
