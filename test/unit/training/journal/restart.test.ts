/** A service, and the one after it on the same folder. A disposed service records nothing more, as a killed one. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../../src/errors.js';
import { SILENT } from '../../../../src/observability/logger.js';
import { LocalTrainingService } from '../../../../src/training/service.js';
import { FakeInference } from '../../gateway/fake-inference.js';
import { FakeSampling, sampleRequest } from '../fake-sampling.js';
import { FakeHost, flush, newRun } from '../fake-trainer.js';

let folder: string;
let inference: FakeInference;
let host: FakeHost;
let service: LocalTrainingService;
let now = 0;
const log = { ...SILENT, error: vi.fn(), info: vi.fn() };

function build(): LocalTrainingService {
  inference = new FakeInference();
  inference.manual = true;
  host = new FakeHost();
  const sampling = new FakeSampling();
  const parts = {
    inference,
    sampling,
    trainers: host,
    checkpointFolder: '/dev/null/nowhere',
    journalFolder: folder,
    log,
  };
  return new LocalTrainingService({ ...parts, nowMs: () => now });
}

beforeEach(() => {
  now = 0;
  vi.clearAllMocks();
  folder = join(mkdtempSync(join(tmpdir(), 'twinkle-restart-')), 'training');
  service = build();
});
afterEach(async () => {
  vi.restoreAllMocks();
  await service.close();
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

async function restart(): Promise<void> {
  await service.written();
  await service.close();
  service = build();
  await service.restore();
}

const NEW = { idempotencyKey: 'key', userMetadata: { a: 1 }, displayName: 'name' };
const begin = (): string => service.createSession('t', NEW).id;
const work = {
  loss: 'cross_entropy',
  config: {},
  forward_only: false,
  tokens: Buffer.alloc(4),
  lengths: [1],
  inputs: [],
};
const adam = { learning_rate: 1, beta1: 0.9, beta2: 0.95, eps: 1e-12, weight_decay: 0, grad_clip_norm: 0 };
const answerOf = (id: string) => service.request('t', id)?.answer ?? null;
const sampleOf = (sampler: string, seqId = 0n) => sampleRequest(sampler, { seqId, seed: 7 });

describe('a server that was started again', () => {
  it('knows its sessions, whose silence counts from then on', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      service = await service.close().then(build);
      const session = begin();
      const over = service.createSession('t', { ...NEW, idempotencyKey: null }).id;
      service.finish('t', over);
      now = 1_000_000;
      await restart();
      now += 299_000;
      vi.advanceTimersByTime(10_000);
      expect(service.session('t', session)).toMatchObject({ userMetadata: { a: 1 }, displayName: 'name' });
      expect(begin()).toBe(session);
      expect(() => service.heartbeat('t', over)).toThrow('has ended');
      expect(() => service.heartbeat('o', session)).toThrow('has ended');
      now += 301_000;
      vi.advanceTimersByTime(10_000);
      expect(() => service.heartbeat('t', session)).toThrow('has ended');
      await restart();
      expect(() => service.heartbeat('t', session)).toThrow('has ended');
    } finally {
      vi.useRealTimers();
    }
  });

  it('answers what was answered with the same bytes, to who asked', async () => {
    const { requestId, run } = service.createRun('t', newRun(begin()));
    await flush();
    const pass = service.compute('t', { run, seqId: 1, work });
    const step = service.step('t', { run, seqId: 2, adam });
    await flush();
    const before = [requestId, pass, step].map(answerOf);
    expect(before).not.toContain(null);
    for (let time = 0; time < 2; time++) {
      await restart();
      const after = [requestId, pass, step].map(answerOf);
      expect(after.map((one) => one !== null && 'bytes' in one && [...one.bytes])).toEqual(
        before.map((one) => one !== null && 'bytes' in one && [...one.bytes]),
      );
      expect(after.map((one) => one !== null && 'kind' in one && one.kind)).toEqual(['json', 'protobuf', 'json']);
      expect(service.request('o', pass)).toBeNull();
      expect(service.compute('t', { run, seqId: 1, work })).toBe(pass);
      expect(service.createRun('t', newRun(begin())).requestId).toBe(requestId);
    }
    expect(host.trainer.sent).toEqual([]);
  });

  it('has lost the runs, and says so to all who wait or ask', async () => {
    const session = begin();
    const { run } = service.createRun('t', newRun(session));
    await flush();
    host.trainer.automatic = false;
    const pending = service.compute('t', { run, seqId: 1, work });
    const held = service.step('t', { run, seqId: 3, adam });
    await restart();
    const why = { error: expect.stringMatching(/lost its weights \(the server was started again\): begin anew/) };
    expect([pending, held].map(answerOf)).toEqual([
      { ...why, category: 'server' },
      { ...why, category: 'server' },
    ]);
    expect(service.compute('t', { run, seqId: 1, work })).toBe(pending);
    expect(answerOf(service.step('t', { run, seqId: 4, adam }))).toMatchObject(why);
    expect(service.run('t', run)).toMatchObject({ corrupted: true, rank: 8 });
    expect(service.session('t', session).runs).toEqual([run]);
    const said = answerOf(pending);
    await restart();
    expect(answerOf(pending)).toEqual(said);
    service.finish('t', session);
    expect(service.request('t', pending)).toBeNull();
  });

  it('lets a run that was never made be made', async () => {
    const session = begin();
    host.trainer.automatic = false;
    const { requestId, run } = service.createRun('t', newRun(session));
    const early = service.compute('t', { run, seqId: 1, work });
    await restart();
    for (const id of [requestId, early]) expect(answerOf(id)).toMatchObject({ category: 'server' });
    expect(service.runs('t')).toEqual([]);
    const again = service.createRun('t', newRun(session));
    await flush();
    expect(again.requestId).not.toBe(requestId);
    expect(answerOf(again.requestId)).toMatchObject({ kind: 'json' });
    expect(service.run('t', run).corrupted).toBe(false);
    await restart();
    expect(service.run('t', run).corrupted).toBe(true);
  });

  it('computes samples again that had no answer, once the model takes them', async () => {
    const sampler = service.createSampler('t', { session: begin(), seqId: 0, of: { baseModel: 'demo' } }).id;
    const { requestId } = service.sample('t', sampleOf(sampler, 2n ** 60n));
    const cancelled = service.sample('t', sampleOf(sampler, 1n)).requestId;
    service.request('t', cancelled)?.cancel();
    await service.written();
    await service.close();
    service = build();
    inference.refusal = new TwinkleError('NOT_READY', 'it starts', { retryAfterMs: 1 });
    await service.restore();
    expect(service.sample('t', sampleOf(sampler, 2n ** 60n)).requestId).toBe(requestId);
    expect(inference.calls).toEqual([]);
    inference.refusal = null;
    await vi.waitFor(() => expect(inference.calls).toHaveLength(1), { interval: 1 });
    const [call] = inference.calls;
    expect(call).toMatchObject({ caller: { tenant: 't' }, params: { prompt: { token_ids: [1, 2, 3] } } });
    expect(call?.params.sampling).toMatchObject({ seed: 7, max_tokens: 4 });
    call?.fail(new TwinkleError('ENGINE_ERROR', 'broke'));
    expect(answerOf(requestId)).toEqual({ error: 'broke', category: 'server' });
    expect(answerOf(cancelled)).toMatchObject({ category: 'user' });
  });

  it('stops what it computes again when nobody wants it', async () => {
    const session = begin();
    const sampler = service.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } }).id;
    const ids = [0n, 1n].map((seqId) => service.sample('t', sampleOf(sampler, seqId)).requestId);
    await restart();
    expect(inference.calls).toHaveLength(2);
    service.request('t', ids[0] ?? '')?.cancel();
    expect(inference.calls.map(({ aborted }) => aborted)).toEqual([true, false]);
    service.finish('t', session);
    expect(inference.calls.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it('fails samples of a model that is not served any more, and still lists its runs', async () => {
    const session = begin();
    const { run } = service.createRun('t', newRun(session));
    await flush();
    const sampler = service.createSampler('t', { session, seqId: 0, of: { baseModel: 'demo' } }).id;
    const { requestId } = service.sample('t', sampleOf(sampler));
    await service.written();
    await service.close();
    service = build();
    inference.served = [];
    await service.restore();
    expect(answerOf(requestId)).toMatchObject({ error: expect.stringContaining('no model `demo`'), category: 'user' });
    expect(service.completions('t', sampler, 0, 0, []).completions).toEqual([{ requestId, size: null }]);
    expect(service.runs('t')).toMatchObject([{ id: run, corrupted: true }]);
    expect(service.run('t', run)).toMatchObject({ baseModel: 'demo' });
  });

  it('tells clients of a sampler’s answers anew, whatever cursor they have, and numbers them on', async () => {
    const sampler = service.createSampler('t', { session: begin(), seqId: 0, of: { baseModel: 'demo' } }).id;
    expect(service.joinSampler('t', sampler)).toBe(1);
    const ids = [0n, 1n, 2n].map((seqId) => service.sample('t', sampleOf(sampler, seqId)).requestId);
    for (const call of inference.calls.slice(0, 2)) call.fail(new TwinkleError('ENGINE_ERROR', 'broke'));
    const { cursor } = service.completions('t', sampler, 0, 0, []);
    expect(cursor).toBe(2);
    service.completions('t', sampler, 0, cursor, ids.slice(0, 1));
    await restart();
    expect(service.joinSampler('t', sampler)).toBe(2);
    const feed = service.completions('t', sampler, 0, cursor, []);
    // What was fetched and done with is not told again.
    expect(feed.completions.map(({ requestId }) => requestId)).toEqual(ids.slice(1, 2));
    inference.calls[0]?.fail(new TwinkleError('ENGINE_ERROR', 'broke'));
    const next = service.completions('t', sampler, 0, feed.cursor, []);
    expect(next.completions.map(({ requestId }) => requestId)).toEqual(ids.slice(2));
    expect(next.cursor).toBe(feed.cursor + 1);
  });

  it('keeps answers no longer than the one before would have', async () => {
    const { requestId, run } = service.createRun('t', newRun(begin()));
    await flush();
    await service.written();
    const realNow = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(realNow + 1_799_000);
    await restart();
    expect(answerOf(requestId)).not.toBeNull();
    vi.spyOn(Date, 'now').mockReturnValue(realNow + 1_801_000);
    await restart();
    expect(service.request('t', requestId)).toBeNull();
    // The run has that number all the same.
    expect(service.createRun('t', newRun(begin())).requestId).toBe(requestId);
    expect(service.run('t', run).corrupted).toBe(true);
  });
});

describe('the journal', () => {
  it('is not there before the first session', async () => {
    await service.restore();
    service.sessions('t');
    expect(service.written()).toBeNull();
    expect(existsSync(folder)).toBe(false);
    begin();
    await service.written();
    expect(existsSync(folder)).toBe(true);
  });

  it('that another server has: says so at once to new sessions, and takes up everything when that one is gone', async () => {
    const session = begin();
    await service.written();
    const first = service;
    service = build();
    await service.restore();
    expect(begin).toThrow(
      expect.objectContaining({ status: 400, message: expect.stringContaining('open in process') }),
    );
    // Who knows whether it is there.
    expect(() => service.heartbeat('t', session)).toThrow(expect.objectContaining({ status: 503 }));
    expect(() => service.request('t', 'req-1')).toThrow(expect.objectContaining({ status: 503 }));
    expect(() => service.run('t', `${session}:train:0`)).toThrow(expect.objectContaining({ status: 503 }));
    expect(() => service.sampler('t', `${session}:sample:0`)).toThrow(expect.objectContaining({ status: 503 }));
    expect(log.error).toHaveBeenCalledOnce();
    await first.close();
    now += 1000;
    expect(() => service.heartbeat('t', session)).toThrow();
    await vi.waitFor(() => service.heartbeat('t', session), { interval: 1 });
    expect(begin()).toBe(session);
    expect(service.written()).toBeNull();
  });

  it('that another server has, where this one had none: refuses the session that wanted it', async () => {
    await service.restore();
    const other = build();
    other.createSession('t', NEW);
    await other.written();
    begin();
    await expect(service.written()).rejects.toMatchObject({ code: 'CONFIG_INVALID', status: 400 });
    expect(service.written()).toBeNull();
    expect(() => service.createSession('t', { ...NEW, idempotencyKey: null })).toThrow('no training session');
    await other.close();
  });

  it('promises nothing new once the server ends', async () => {
    const { run } = service.createRun('t', newRun(begin()));
    await flush();
    service[Symbol.dispose]();
    expect(() => service.compute('t', { run, seqId: 1, work })).toThrow(expect.objectContaining({ status: 503 }));
  });
});
