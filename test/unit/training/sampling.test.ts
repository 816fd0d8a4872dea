import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import { LocalTrainingService } from '../../../src/training/service.js';
import { FakeInference, logprobOf } from '../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from './fake-sampling.js';
import { FakeHost } from './fake-trainer.js';

let inference: FakeInference;
let sampling: FakeSampling;
let service: LocalTrainingService;
let now = 0;

beforeEach(() => {
  inference = new FakeInference();
  sampling = new FakeSampling();
  inference.manual = true;
  now = 0;
  service = new LocalTrainingService({
    inference,
    trainers: new FakeHost(),
    sampling,
    checkpointFolder: '/dev/null/nowhere',
    nowMs: () => now,
  });
});
afterEach(() => service[Symbol.dispose]());

const NEW = { idempotencyKey: null, userMetadata: null, displayName: null };
const begin = (tenant = 't') => {
  const { id: session } = service.createSession(tenant, NEW);
  return { session, sampler: service.createSampler(tenant, { session, seqId: 0, of: { baseModel: 'demo' } }).id };
};
const answerOf = (id: string) => service.request('t', id)?.answer ?? null;
const lastCall = () => {
  const call = inference.calls.at(-1);
  if (call === undefined) throw new Error('nothing was generated');
  return call;
};

describe('a sample request', () => {
  it('asks the engine for what it says', () => {
    const { sampler } = begin();
    const ticket = service.sample('t', sampleRequest(sampler, { count: 2, stop: ['\n'], seed: 7, topK: 5, seqId: 4n }));
    expect(ticket.sequenceIds).toEqual([`${sampler}:4:0`, `${sampler}:4:1`]);
    const { caller, model, params } = lastCall();
    expect([model, caller.tenant, params.n]).toEqual(['demo', 't', 2]);
    expect(params.prompt.token_ids).toEqual([1, 2, 3]);
    expect(params.sampling).toMatchObject({
      max_tokens: 4,
      seed: 7,
      top_k: 5,
      stop: ['\n'],
      stop_token_ids: [],
      ignore_eos: false,
      logprobs: 0,
      prompt_logprobs: null,
    });
    service.sample('t', sampleRequest(sampler, { seqId: 5n, stop: [] }));
    expect(lastCall().params.sampling).toMatchObject({ stop: [], ignore_eos: true });
    service.sample('t', sampleRequest(sampler, { seqId: 6n, stop: [9], topkPrompt: 3, topkSample: 2 }));
    expect(lastCall().params.sampling).toMatchObject({ stop_token_ids: [9], logprobs: 2, prompt_logprobs: 3 });
  });

  it('runs once, however often it is sent', () => {
    const { sampler } = begin();
    const first = service.sample('t', sampleRequest(sampler));
    expect(service.sample('t', sampleRequest(sampler))).toEqual(first);
    expect(inference.calls).toHaveLength(1);
  });

  it('of a clone whose numbers are beyond 2⁵³ is not taken for the one before it', () => {
    const { sampler } = begin();
    const [first, second] = [683302102000000000n, 683302102000000001n].map((seqId) =>
      service.sample('t', sampleRequest(sampler, { seqId })),
    );
    expect(first?.requestId).not.toBe(second?.requestId);
    expect(second?.sequenceIds).toEqual([`${sampler}:683302102000000001:0`]);
    lastCall().fail(new TwinkleError('INVALID_REQUEST', 'no'));
    expect(service.completions('t', sampler, 683302102, 0, []).cursor).toBe(1);
  });

  it('says why it waits while its model is trained', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    expect(service.request('t', requestId)?.paused).toBeNull();
    sampling.waits = 'it is trained now';
    expect(service.request('t', requestId)?.paused).toBe('it is trained now');
  });

  it('that the queue refuses was never there', () => {
    const { sampler } = begin();
    inference.refusal = new TwinkleError('OVERLOADED', 'full');
    expect(() => service.sample('t', sampleRequest(sampler))).toThrow('full');
    inference.refusal = null;
    const { requestId } = service.sample('t', sampleRequest(sampler));
    expect(answerOf(requestId)).toBeNull();
    expect(inference.calls).toHaveLength(1);
  });

  it('begins anew when its replica breaks, twice', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    const broken = new TwinkleError('RANK_FAILED', 'rank 0 was killed');
    for (let losses = 0; losses < 2; losses++) {
      lastCall().send('x', { token_ids: [99], logprobs: [logprobOf('x', 0)] });
      lastCall().fail(broken);
      expect(answerOf(requestId)).toBeNull();
    }
    expect(inference.calls).toHaveLength(3);
    lastCall().fail(broken);
    expect(answerOf(requestId)).toEqual({ error: 'rank 0 was killed', category: 'server' });
  });

  it('keeps no token of the replica that broke', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    lastCall().send('x', { token_ids: [99], logprobs: [logprobOf('x', 0)] });
    lastCall().fail(new TwinkleError('RANK_FAILED', 'killed'));
    lastCall().send('y', { token_ids: [7], logprobs: [logprobOf('y', 0)], finish: 'length' });
    lastCall().finish();
    const answer = answerOf(requestId);
    if (answer === null || 'error' in answer) throw new Error('no answer');
    expect(Buffer.from(answer.bytes).includes(Buffer.from(Int32Array.of(7).buffer))).toBe(true);
    expect(Buffer.from(answer.bytes).includes(Buffer.from(Int32Array.of(99).buffer))).toBe(false);
  });

  it('says whose fault a failure is', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    lastCall().fail(new TwinkleError('CONTEXT_LENGTH_EXCEEDED', 'too long'));
    expect(answerOf(requestId)).toEqual({ error: 'too long', category: 'user' });
  });

  it('fails when the engine leaves out what was asked for', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler, { promptLogprobs: true }));
    lastCall().send('y', { token_ids: [7], logprobs: [logprobOf('y', 0)], finish: 'length' });
    lastCall().finish();
    expect(answerOf(requestId)).toMatchObject({ category: 'server' });
  });

  it('that is cancelled stops in the engine', () => {
    const { sampler } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    service.request('t', requestId)?.cancel();
    expect(lastCall().aborted).toBe(true);
  });
});

describe('a sampler', () => {
  it('is made once for its number, and for one model', () => {
    const { sampler, session } = begin();
    expect(sampler).toBe(`${session}:sample:0`);
    expect(service.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } }).id).toBe(sampler);
    expect(() => service.createSampler('t', { session, seqId: 0, of: { baseModel: 'alias/with-slash' } })).toThrow(
      'demo',
    );
    expect(() => service.createSampler('t', { session, seqId: 1, of: { baseModel: 'none' } })).toThrow(
      'no model `none` is served',
    );
    const { id } = service.createSampler('t', { session, seqId: 1, of: { baseModel: 'some/folder' } });
    service.sample('t', sampleRequest(id));
    expect(lastCall().model).toBe('demo');
  });

  it('counts its clients from 1', () => {
    const { sampler } = begin();
    expect([service.joinSampler('t', sampler), service.joinSampler('t', sampler)]).toEqual([1, 2]);
  });

  it('ends with its session, and so do its requests', () => {
    const { sampler, session } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    service.finish('t', session);
    expect(lastCall().aborted).toBe(true);
    expect(service.request('t', requestId)).toBeNull();
    expect(() => service.sample('t', sampleRequest(sampler))).toThrow(
      expect.objectContaining({ code: 'SAMPLER_NOT_FOUND' }),
    );
  });

  it('is nobody else’s', () => {
    const { sampler, session } = begin();
    const { requestId } = service.sample('t', sampleRequest(sampler));
    const refused = [
      () => service.sample('o', sampleRequest(sampler)),
      () => service.joinSampler('o', sampler),
      () => service.sampler('o', sampler),
      () => service.completions('o', sampler, 0, 0, []),
      () => service.session('o', session),
      () => service.heartbeat('o', session),
      () => service.createSampler('o', { session, seqId: 9, of: { baseModel: 'demo' } }),
    ];
    for (const act of refused) expect(act).toThrow(TwinkleError);
    expect(service.request('o', requestId)).toBeNull();
    expect(service.sessions('o')).toEqual([]);
  });

  it('tells each of its clients which answers came', () => {
    const { sampler } = begin();
    const own = service.sample('t', sampleRequest(sampler)).requestId;
    lastCall().send('y', { token_ids: [7], logprobs: [logprobOf('y', 0)], finish: 'stop' });
    lastCall().finish();
    const cloned = service.sample('t', sampleRequest(sampler, { seqId: 2_000_000_001n })).requestId;
    lastCall().fail(new TwinkleError('INVALID_REQUEST', 'no'));
    const feed = service.completions('t', sampler, 0, 0, []);
    expect(feed).toMatchObject({ completions: [{ requestId: own, size: expect.any(Number) }], cursor: 1 });
    expect(service.completions('t', sampler, 2, 0, []).completions).toEqual([{ requestId: cloned, size: null }]);
    service.completions('t', sampler, 0, 1, [own]);
    expect(service.request('t', own)).toBeNull();
  });
});

it('forgets sessions that are silent, and what they had', () => {
  vi.useFakeTimers();
  try {
    using watched = new LocalTrainingService({
      inference,
      trainers: new FakeHost(),
      sampling: new FakeSampling(),
      checkpointFolder: '/dev/null/nowhere',
      nowMs: () => now,
    });
    const { id: session } = watched.createSession('t', NEW);
    const { id: sampler } = watched.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } });
    now = 299_000;
    vi.advanceTimersByTime(10_000);
    watched.heartbeat('t', session);
    now = 599_000;
    vi.advanceTimersByTime(10_000);
    expect(watched.sessions('t')).toHaveLength(1);
    const { requestId } = watched.sample('t', sampleRequest(sampler));
    watched.request('o', requestId);
    watched.request('t', requestId);
    now = 899_000;
    vi.advanceTimersByTime(10_000);
    expect(watched.sessions('t')).toHaveLength(1);
    now = 899_001;
    vi.advanceTimersByTime(10_000);
    expect(watched.sessions('t')).toEqual([]);
    expect(() => watched.sampler('t', sampler)).toThrow('no sampling session');
  } finally {
    vi.useRealTimers();
  }
});
