import { describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { Open, ToRank } from '../../../src/protocol/frames.js';
import type { GenerateParams, ModelCard } from '../../../src/protocol/values.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { Replica, type ReplicaGang } from '../../../src/serving/replica.js';
import type { TokenSink } from '../../../src/serving/types.js';
import type { GangState } from '../../../src/supervisor/gang-machine.js';
import { Channel } from '../../../src/transport/channel.js';
import { MemoryHub } from '../../../src/transport/memory-hub.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const CARD = { max_num_seqs: 2 } as ModelCard;
const FAILURE = { kind: 'exit', rank: 0, message: 'rank 0 is gone', retry: true } as const;

/** A gang whose rank is this test. */
class FakeGang implements ReplicaGang {
  state: GangState = { at: 'ready' };
  epoch = 1;
  restarts = 0;
  readonly group = null;
  card: ModelCard | null = CARD;
  stats = null;
  frames: ToRank[] = [];
  channel!: Channel;
  send!: (frame: Parameters<ReturnType<MemoryHub['join']>['send']>[0]) => void;

  constructor() {
    this.connect();
  }

  get lead(): Channel | null {
    return this.state.at === 'ready' ? this.channel : null;
  }

  connect(): void {
    const hub = new MemoryHub();
    this.frames = [];
    this.channel = new Channel(hub.link('x'), { phase() {}, violation() {} });
    const peer = hub.join('x');
    peer.receive((frame) => this.frames.push(frame));
    this.send = (frame) => peer.send(frame);
    this.state = { at: 'ready' };
  }

  get opens(): Open[] {
    return this.frames.filter((frame) => frame.t === 'open');
  }

  finish(open: Open): void {
    this.send({ t: 'end', id: open.id, value: { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 0 } });
  }

  token(open: Open): void {
    this.send({ t: 'items', items: [[open.id, { choice: 0, text: 'x', token_ids: [1] }]] });
  }

  crash(): void {
    const lost = this.channel;
    this.state = { at: 'teardown', next: 'restart', failure: FAILURE };
    lost.fail(new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL'));
  }
}

const request = (name: string, n = 1): GenerateParams => ({ request_id: name, n }) as GenerateParams;
const caller = (tenant: string) => ({ tenant });

function setUp(gangs: FakeGang[], maxQueue = 10) {
  let now = 0;
  const replicas = gangs.map((gang, index) => new Replica(String(index), gang, () => []));
  const service = new ModelService({ names: ['m'], created: 0, maxQueue, nowMs: () => now++ }, replicas);
  const heard: string[] = [];
  const sink = (name: string): TokenSink => ({
    delta: ({ text }) => void heard.push(`${name}:${text}`),
    end: () => void heard.push(`${name}:end`),
    error: (error) => void heard.push(`${name}:${error.code}`),
  });
  const ask = (name: string, tenant = 'local', n = 1) => service.generate(request(name, n), sink(name), caller(tenant));
  return { service, heard, ask };
}

const names = (opens: readonly Open[]): string[] => opens.map(({ params }) => (params as GenerateParams).request_id);

describe('model service', () => {
  it('fills a replica up to its batch and a little ahead, and the rest follows as slots free', async () => {
    const gang = new FakeGang();
    const { service, ask, heard } = setUp([gang]);
    for (const name of ['a', 'b', 'c', 'd', 'e']) ask(name);
    await tick();
    expect(names(gang.opens)).toEqual(['a', 'b', 'c']);
    expect(service.queued).toBe(2);
    gang.finish(gang.opens[0] as Open);
    await tick();
    await tick();
    expect(heard).toEqual(['a:end']);
    expect(names(gang.opens)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('counts choices, not requests, and lets a wide one into an empty replica', async () => {
    const gang = new FakeGang();
    const { ask } = setUp([gang]);
    ask('wide', 'local', 8);
    ask('b');
    await tick();
    expect(names(gang.opens)).toEqual(['wide']);
  });

  it('sends to the least loaded replica', async () => {
    const gangs = [new FakeGang(), new FakeGang()];
    const { ask } = setUp(gangs);
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    await tick();
    expect(gangs.map((gang) => gang.opens.length)).toEqual([2, 2]);
  });

  it('refuses beyond the queue with a time to retry after, and serves tenants in turn', async () => {
    const gang = new FakeGang();
    const { ask } = setUp([gang], 3);
    for (const name of ['a', 'b', 'c']) ask(name);
    ask('a4', 'greedy');
    ask('a5', 'greedy');
    ask('b1', 'modest');
    expect(() => ask('over')).toThrow(
      expect.objectContaining({ code: 'OVERLOADED', status: 429, retryAfterMs: expect.any(Number) }),
    );
    await tick();
    for (const open of gang.opens.slice(0, 2)) gang.finish(open);
    await tick();
    await tick();
    expect(names(gang.opens).slice(3)).toEqual(['a4', 'b1']);
  });

  it('keeps what has not started through a crash, and ends what has with the reason', async () => {
    const gang = new FakeGang();
    const { service, heard, ask } = setUp([gang]);
    for (const name of ['started', 'fresh', 'fresh2', 'waiting']) ask(name);
    await tick();
    gang.token(gang.opens[0] as Open);
    await tick();
    gang.crash();
    expect(service.state).toBe('restarting');
    ask('during');
    await tick();
    expect(heard).toEqual(['started:x', 'started:RANK_FAILED']);
    gang.connect();
    service.dispatch();
    await tick();
    for (const open of gang.opens) gang.finish(open);
    await tick();
    await tick();
    for (const open of gang.opens.slice(3)) gang.finish(open);
    await tick();
    await tick();
    expect(new Set(heard.slice(2))).toEqual(new Set(['fresh:end', 'fresh2:end', 'waiting:end', 'during:end']));
  });

  it('gives up on a request under which replicas keep breaking', async () => {
    const gang = new FakeGang();
    const { service, heard, ask } = setUp([gang]);
    ask('poison');
    for (let round = 0; round < 2; round++) {
      await tick();
      gang.crash();
      gang.connect();
      await tick();
      service.dispatch();
    }
    await tick();
    expect(heard).toEqual(['poison:RANK_FAILED']);
    expect(gang.opens).toEqual([]);
  });

  it('forgets an aborted request wherever it is', async () => {
    const gang = new FakeGang();
    const { service, heard, ask } = setUp([gang]);
    const running = ask('a');
    ask('b');
    ask('c');
    const waiting = ask('d');
    waiting.abort();
    expect(service.queued).toBe(0);
    await tick();
    running.abort();
    running.abort();
    await tick();
    expect(gang.frames.filter((frame) => frame.t === 'abort')).toHaveLength(1);
    expect(heard).toEqual([]);
  });

  it('drains: refuses new work, resolves when the last is done', async () => {
    const gang = new FakeGang();
    const { service, ask } = setUp([gang]);
    ask('a');
    await tick();
    const done = vi.fn();
    const drained = service.drain().then(done);
    expect(() => ask('late')).toThrow(expect.objectContaining({ code: 'DRAINING', status: 503 }));
    await tick();
    expect(done).not.toHaveBeenCalled();
    gang.finish(gang.opens[0] as Open);
    await drained;
  });

  it('says why it is not ready, and lets nobody wait for a model that has given up', async () => {
    const gang = new FakeGang();
    gang.state = { at: 'starting', greeted: new Set(), loaded: new Set() };
    gang.card = null;
    const { service, heard, ask } = setUp([gang]);
    expect(() => ask('early')).toThrow(expect.objectContaining({ code: 'NOT_READY' }));
    gang.card = CARD;
    ask('waits');
    gang.state = { at: 'failed', failure: FAILURE };
    service.reason = FAILURE.message;
    service.replicaFailed(new TwinkleError('GANG_FAILED', 'broke too often'));
    expect(heard).toEqual(['waits:GANG_FAILED']);
    expect(() => ask('late')).toThrow(/failed: rank 0 is gone/);
  });
});

describe('what a model says of itself', () => {
  const unloaded = (state: GangState, options: { maxQueue?: number; fromZero?: boolean } = {}) => {
    const gang = new FakeGang();
    gang.state = state;
    gang.card = null;
    const made = { names: ['m'], created: 0, maxQueue: 2, nowMs: () => 0, ...options };
    return { gang, service: new ModelService(made, [new Replica('0', gang, () => [])]) };
  };

  it('is there at once after the first load, and a start that has never been done is not waited for', async () => {
    await expect(setUp([new FakeGang()]).service.loaded()).resolves.toBe(CARD);
    const { service } = unloaded({ at: 'starting', greeted: new Set(), loaded: new Set() });
    await expect(service.loaded()).rejects.toMatchObject({ code: 'NOT_READY' });
  });

  it.each([
    ['none runs before the first request', { at: 'stopped' } as const, true],
    ['the first start has to be repeated', { at: 'teardown', next: 'restart', failure: FAILURE } as const, false],
  ])('is waited for where %s, by as many as may wait', async (_what, state, fromZero) => {
    const { gang, service } = unloaded(state, { fromZero });
    let woken = 0;
    service.onWaiting = () => {
      woken += 1;
    };
    const waiting = [service.loaded(), service.loaded()];
    await expect(service.loaded()).rejects.toMatchObject({ code: 'OVERLOADED', retryAfterMs: expect.any(Number) });
    expect([woken, service.waiting]).toEqual([2, 2]);
    gang.connect();
    gang.card = CARD;
    service.dispatch();
    expect(await Promise.all(waiting)).toEqual([CARD, CARD]);
    expect(service.waiting).toBe(0);
  });

  it('is not waited for any longer than there is hope', async () => {
    const failing = unloaded({ at: 'stopped' }, { fromZero: true });
    const lost = failing.service.loaded();
    failing.gang.state = { at: 'failed', failure: FAILURE };
    failing.service.replicaFailed(new TwinkleError('GANG_FAILED', 'broke too often'));
    await expect(lost).rejects.toMatchObject({ code: 'NOT_READY' });
    const ending = unloaded({ at: 'stopped' }, { fromZero: true });
    const cut = ending.service.loaded();
    await ending.service.drain();
    await expect(cut).rejects.toMatchObject({ code: 'DRAINING' });
  });
});
