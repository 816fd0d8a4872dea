/** Requests for the engine's own server, on their way through queue and replicas. */
import { describe, expect, it } from 'vitest';
import { TwinkleError } from '../../../src/errors.js';
import type { Open, ToRank } from '../../../src/protocol/frames.js';
import type { GenerateParams, HttpParams, ModelCard } from '../../../src/protocol/values.js';
import { ModelDirectory } from '../../../src/serving/inference.js';
import { ModelService } from '../../../src/serving/model-service.js';
import { Replica, type ReplicaGang } from '../../../src/serving/replica.js';
import type { HttpSink } from '../../../src/serving/types.js';
import type { GangState } from '../../../src/supervisor/gang-machine.js';
import { Channel } from '../../../src/transport/channel.js';
import { MemoryHub, type MemoryPeer } from '../../../src/transport/memory-hub.js';

const tick = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const FAILURE = { kind: 'exit', rank: 0, message: 'rank 0 is gone', retry: true } as const;
const LOCAL = { tenant: 'local' };

/** A gang of one rank that this test plays. */
class PlayedGang implements ReplicaGang {
  state: GangState = { at: 'ready' };
  epoch = 1;
  readonly restarts = 0;
  readonly group = null;
  readonly stats = null;
  readonly card = { max_num_seqs: 4 } as ModelCard;
  readonly frames: ToRank[] = [];
  readonly channel: Channel;
  readonly peer: MemoryPeer;

  constructor() {
    const hub = new MemoryHub();
    this.channel = new Channel(hub.link('x'), { phase() {}, violation() {} });
    this.peer = hub.join('x');
    this.peer.receive((frame) => this.frames.push(frame));
  }

  get lead(): Channel | null {
    return this.state.at === 'ready' ? this.channel : null;
  }

  get opens(): Open[] {
    return this.frames.filter((frame) => frame.t === 'open');
  }

  part(open: Open | undefined, body: string, status?: number): void {
    const part = { body: Buffer.from(body), ...(status === undefined ? {} : { status, headers: [] }) };
    this.peer.send({ t: 'items', items: [[open?.id ?? 0, part]] });
  }

  crash(): void {
    this.state = { at: 'teardown', next: 'restart', failure: FAILURE };
    this.channel.fail(new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL'));
  }
}

function setUp(count: number) {
  let now = 0;
  const gangs = Array.from({ length: count }, () => new PlayedGang());
  const replicas = gangs.map((gang, index) => new Replica(String(index), gang, () => []));
  const service = new ModelService({ names: ['m', 'alias'], created: 0, maxQueue: 2, nowMs: () => now++ }, replicas);
  const directory = new ModelDirectory([service]);
  const heard: string[] = [];
  const ask = (name: string, width?: number, more: Partial<HttpParams> = {}) => {
    const plain = { request_id: name, method: 'POST', path: '/x', query: '', headers: [], body: '{}' };
    const params: HttpParams = { ...plain, ...more };
    const sink: HttpSink = {
      delta: ({ status, body }) => void heard.push(`${name}:${status ?? ''}:${Buffer.from(body).toString()}`),
      end: (end) => void heard.push(`${name}:${end}`),
      error: ({ code }) => void heard.push(`${name}:${code}`),
    };
    return directory.relay('alias', params, sink, LOCAL, width);
  };
  return { gangs, replicas, service, directory, heard, ask };
}

describe('relayed requests', () => {
  it('open the stream `http` and hear its parts in order', async () => {
    const { gangs, replicas, heard, ask } = setUp(1);
    const [gang] = gangs as [PlayedGang];
    ask('a', 2);
    await tick();
    expect(gang.opens).toMatchObject([{ method: 'http', params: { request_id: 'a', path: '/x', body: '{}' } }]);
    expect(replicas[0]?.status().inFlight).toBe(2);
    gang.part(gang.opens[0], '', 200);
    gang.part(gang.opens[0], 'data');
    gang.peer.send({ t: 'end', id: gang.opens[0]?.id ?? 0, value: null });
    await tick();
    expect(heard).toEqual(['a:200:', 'a::data', 'a:null']);
    expect(replicas[0]?.status().inFlight).toBe(0);
  });

  it('share queue and width with generations', async () => {
    const { gangs, service, directory, ask } = setUp(1);
    const [gang] = gangs as [PlayedGang];
    ask('wide', 4);
    const sink = { delta() {}, end() {}, error() {} };
    directory.generate('m', { request_id: 'g', n: 1 } as GenerateParams, sink, LOCAL);
    ask('c');
    ask('d');
    await tick();
    expect(gang.opens.map(({ params }) => (params as HttpParams).request_id)).toEqual(['wide', 'g']);
    expect(service.queued).toBe(2);
    expect(() => ask('over')).toThrow(expect.objectContaining({ code: 'OVERLOADED' }));
  });

  it('go to another replica when theirs dies before the first part, and fail when after', async () => {
    const { gangs, heard, ask } = setUp(2);
    const [first, second] = gangs as [PlayedGang, PlayedGang];
    second.state = { at: 'backoff', failure: FAILURE };
    ask('begun');
    ask('fresh');
    await tick();
    first.part(first.opens[0], 'x', 200);
    await tick();
    second.state = { at: 'ready' };
    first.crash();
    await tick();
    expect(heard).toEqual(['begun:200:x', 'begun:RANK_FAILED']);
    expect(second.opens).toMatchObject([{ method: 'http', params: { request_id: 'fresh' } }]);
  });

  it('are withdrawn from the rank', async () => {
    const { gangs, heard, ask } = setUp(1);
    const [gang] = gangs as [PlayedGang];
    const request = ask('a');
    await tick();
    request.abort();
    await tick();
    expect(gang.frames.at(-1)).toEqual({ t: 'abort', ids: [gang.opens[0]?.id] });
    expect(heard).toEqual([]);
  });

  describe('about a stored response', () => {
    const CREATE = { path: '/v1/responses' };
    const GO_ON = { ...CREATE, body: '{"previous_response_id":"resp_1"}' };
    const READ = { method: 'GET', path: '/v1/responses/resp_1', body: '' };
    const names = ({ opens }: PlayedGang): string[] => opens.map(({ params }) => (params as HttpParams).request_id);

    /** Three replicas of four places; `resp_1` is at the last of those that two requests went to. */
    async function made() {
      const all = setUp(3);
      all.ask('other');
      all.ask('maker', 1, CREATE);
      await tick();
      const home = all.gangs.find((gang) => names(gang).includes('maker')) as PlayedGang;
      const open = home.opens.at(-1);
      home.part(open, '{"id":"resp_1"}', 200);
      home.peer.send({ t: 'end', id: open?.id ?? 0, value: null });
      await tick();
      return { ...all, home, others: all.gangs.filter((gang) => gang !== home) };
    }

    it('go to the replica that made it, although others run less', async () => {
      const { ask, home, directory } = await made();
      ask('wide', 4, GO_ON);
      for (const name of ['c1', 'c2']) ask(name, 1, GO_ON);
      await tick();
      expect(names(home)).toEqual(['maker', 'wide', 'c1']);
      expect(directory.modelOfResponse('resp_1')).toBe('m');
      expect(directory.modelOfResponse('resp_2')).toBeNull();
    });

    it('wait for it without keeping others from theirs, and are read at once all the same', async () => {
      const { ask, home, others, service } = await made();
      ask('full', 5, GO_ON);
      ask('waits', 1, GO_ON);
      ask('passes', 4);
      ask('read', 1, READ);
      await tick();
      expect(names(home)).toEqual(['maker', 'full', 'read']);
      expect(others.flatMap(names).sort()).toEqual(['other', 'passes']);
      expect(service.queued).toBe(1);
      home.peer.send({ t: 'end', id: home.opens[1]?.id ?? 0, value: null });
      await tick();
      expect(names(home)).toEqual(['maker', 'full', 'read', 'waits']);
      expect(service.queued).toBe(0);
    });

    it('go anywhere once it has started anew, or when nobody knows the response', async () => {
      const { ask, gangs, home, service, directory } = await made();
      const stranger = { ...READ, path: '/v1/responses/resp_9' };
      ask('stranger', 4, stranger);
      home.epoch = 2;
      ask('a', 4, GO_ON);
      ask('b', 4, GO_ON);
      await tick();
      expect(service.queued).toBe(0);
      expect(gangs.filter((gang) => names(gang).some((name) => ['stranger', 'a', 'b'].includes(name)))).toHaveLength(3);
      expect(directory.modelOfResponse('resp_1')).toBeNull();
    });

    it('still count: a replica with one under way is not ended', async () => {
      const { ask, home, replicas, gangs } = await made();
      ask('read', 1, READ);
      await tick();
      const replica = replicas[gangs.indexOf(home)];
      let ended = false;
      void replica?.retire().then((free) => {
        ended = free;
      });
      await tick();
      expect(ended).toBe(false);
      home.peer.send({ t: 'end', id: home.opens.at(-1)?.id ?? 0, value: null });
      await tick();
      expect(ended).toBe(true);
    });
  });

  it('are not taken while draining', async () => {
    const { directory, ask } = setUp(1);
    await directory.drain();
    expect(() => ask('late')).toThrow(expect.objectContaining({ code: 'DRAINING' }));
  });
});
