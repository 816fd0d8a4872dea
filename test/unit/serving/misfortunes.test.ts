/** What can go wrong between a queue and its replicas, and who must not notice. */
import { describe, expect, it, vi } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { Open, ToRank } from '../../../src/protocol/frames.js';
import type { GenerateParams, ModelCard } from '../../../src/protocol/values.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { Replica, type ReplicaGang } from '../../../src/serving/replica.js';
import type { Caller, Generation, TokenSink } from '../../../src/serving/types.js';
import type { GangState } from '../../../src/supervisor/gang-machine.js';
import { Channel } from '../../../src/transport/channel.js';
import { encodeFrame } from '../../../src/transport/codec.js';
import { MemoryHub, type MemoryPeer } from '../../../src/transport/memory-hub.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const FAILURE = { kind: 'exit', rank: 0, message: 'rank 0 is gone', retry: true } as const;
const END = { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 0 };

/** A gang of one rank that this test plays; frames are encoded on their way, as over a socket. */
class PlayedGang implements ReplicaGang {
  state: GangState = { at: 'ready' };
  readonly epoch = 1;
  readonly restarts = 0;
  readonly group = null;
  readonly stats = null;
  readonly card = { max_num_seqs: 2 } as ModelCard;
  readonly violation = vi.fn();
  frames: ToRank[] = [];
  channel!: Channel;
  peer!: MemoryPeer;

  constructor() {
    this.connect();
  }

  get lead(): Channel | null {
    return this.state.at === 'ready' ? this.channel : null;
  }

  connect(): void {
    const hub = new MemoryHub();
    const link = hub.link('x');
    const send = (frame: ToRank): void => {
      encodeFrame(frame);
      link.send(frame);
    };
    this.frames = [];
    this.channel = new Channel(
      { send, close: () => link.close(), receive: (listener) => link.receive(listener) },
      { phase() {}, violation: this.violation },
    );
    this.peer = hub.join('x');
    this.peer.receive((frame) => this.frames.push(frame));
    this.state = { at: 'ready' };
  }

  get opens(): Open[] {
    return this.frames.filter((frame) => frame.t === 'open');
  }

  get asked(): string[] {
    return this.opens.map(({ params }) => (params as GenerateParams).request_id);
  }

  crash(next: 'restart' | 'give-up' = 'restart'): void {
    this.state = { at: 'teardown', next, failure: FAILURE };
    this.channel.fail(new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL'));
  }
}

function setUp(gangs: readonly PlayedGang[], maxQueue = 10) {
  let now = 0;
  const replicas = gangs.map((gang, index) => new Replica(String(index), gang, () => []));
  const service = new ModelService({ names: ['m'], created: 0, maxQueue, nowMs: () => now++ }, replicas);
  const heard: string[] = [];
  const ask = (name: string, more: object = {}, sink: Partial<TokenSink> = {}, tenant = 'local'): Generation =>
    service.generate(
      { request_id: name, n: 1, ...more } as GenerateParams,
      {
        delta: ({ text }) => void heard.push(`${name}:${text}`),
        end: () => void heard.push(`${name}:end`),
        error: (error) => void heard.push(`${name}:${error.code}`),
        ...sink,
      },
      { tenant } satisfies Caller,
    );
  return { service, replicas, heard, ask };
}

const angry = (): never => {
  throw new Error('the consumer is broken');
};

describe('misfortunes of requests', () => {
  it('a request that no frame can carry fails alone, and its place is free again', async () => {
    const gang = new PlayedGang();
    const { replicas, heard, ask, service } = setUp([gang]);
    ask('poison', { prompt: { text: 10n ** 30n } });
    expect(heard).toEqual([]);
    ask('fine');
    await tick();
    expect(heard).toEqual(['poison:INVALID_REQUEST']);
    expect(gang.asked).toEqual(['fine']);
    gang.peer.send({ t: 'end', id: gang.opens[0]?.id ?? 0, value: END });
    await tick();
    expect(heard).toEqual(['poison:INVALID_REQUEST', 'fine:end']);
    expect(replicas[0]?.width).toBe(0);
    expect(gang.channel.openStreams).toBe(0);
    await service.drain();
  });

  it('a consumer that throws ends its own stream; the others of the same message get their tokens', async () => {
    const gang = new PlayedGang();
    const { replicas, heard, ask } = setUp([gang]);
    const told = vi.fn();
    ask('broken', {}, { delta: angry, error: told });
    ask('fine');
    await tick();
    const [broken = 0, fine = 0] = gang.opens.map(({ id }) => id);
    const item = { choice: 0, text: 'x', token_ids: [1] };
    gang.peer.send({
      t: 'items',
      items: [
        [broken, item],
        [fine, item],
      ],
    });
    await tick();
    expect(heard).toEqual(['fine:x']);
    expect(told).toHaveBeenCalledOnce();
    await tick();
    expect(gang.frames.at(-1)).toEqual({ t: 'abort', ids: [broken] });
    expect(replicas[0]?.width).toBe(1);
    expect(gang.violation).not.toHaveBeenCalled();
  });

  it('a consumer that throws when its rank dies keeps the bad news from nobody', async () => {
    const gang = new PlayedGang();
    const { heard, ask, service } = setUp([gang]);
    ask('broken', {}, { error: angry });
    ask('fine');
    await tick();
    for (const { id } of gang.opens)
      gang.peer.send({ t: 'items', items: [[id, { choice: 0, text: 'x', token_ids: [] }]] });
    await tick();
    gang.crash();
    expect(heard).toEqual(['broken:x', 'fine:x', 'fine:RANK_FAILED']);
    await service.drain();
  });

  it('a consumer that throws when it is cut keeps the others from nothing', async () => {
    const gang = new PlayedGang();
    const { heard, ask, service } = setUp([gang]);
    ask('broken', {}, { error: angry });
    ask('fine');
    service.cut(new TwinkleError('DRAINING', 'over'));
    expect(heard).toEqual(['fine:DRAINING']);
    await service.drain();
  });

  it('what waits behind a wide request goes on when that is withdrawn', async () => {
    const gang = new PlayedGang();
    const { ask } = setUp([gang]);
    ask('running');
    const wide = ask('wide', { n: 8 });
    ask('small');
    wide.abort();
    await tick();
    expect(gang.asked).toEqual(['running', 'small']);
  });

  it('a cut sends nothing more to a rank', async () => {
    const gang = new PlayedGang();
    const { heard, ask, service } = setUp([gang]);
    for (const name of ['a', 'b', 'c', 'd', 'e']) ask(name);
    service.cut(new TwinkleError('DRAINING', 'over'));
    await tick();
    expect(gang.asked).toEqual(['a', 'b', 'c']);
    expect(heard).toHaveLength(5);
  });

  it('a drain ends although the model gives up for good meanwhile', async () => {
    const gang = new PlayedGang();
    const { heard, ask, service } = setUp([gang]);
    ask('lost');
    const drained = service.drain();
    gang.crash('give-up');
    gang.state = { at: 'failed', failure: FAILURE };
    service.replicaFailed(new TwinkleError('GANG_FAILED', 'broke too often'));
    await drained;
    expect(heard).toEqual(['lost:GANG_FAILED']);
  });

  it('a request that was sent at once is not refused for those that wait for their second try', async () => {
    const gangs = [new PlayedGang(), new PlayedGang()] as const;
    const { heard, ask, service } = setUp(gangs, 0);
    gangs[1].state = { at: 'backoff', failure: FAILURE };
    for (const name of ['a', 'b', 'c']) ask(name);
    await tick();
    gangs[0].crash();
    gangs[1].connect();
    expect(service.queued).toBe(3);
    ask('new', {}, {}, 'another tenant');
    await tick();
    expect(gangs[1].asked).toContain('new');
    expect(heard).toEqual([]);
  });

  it('lost requests keep their order', async () => {
    const gang = new PlayedGang();
    const { ask } = setUp([gang]);
    for (const name of ['a', 'b', 'c', 'd']) ask(name);
    await tick();
    gang.crash();
    gang.connect();
    await tick();
    await tick();
    expect(gang.asked).toEqual(['a', 'b', 'c']);
  });

  it('a frame without valid fields is told as a breach of the contract', async () => {
    const gang = new PlayedGang();
    gang.peer.send({ t: 'items', items: null } as never);
    await tick();
    expect(gang.violation).toHaveBeenCalledWith(expect.objectContaining({ code: 'PROTOCOL' }));
  });
});
