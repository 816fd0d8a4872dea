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
  readonly epoch = 1;
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
  const ask = (name: string, width?: number) => {
    const params: HttpParams = { request_id: name, method: 'POST', path: '/x', query: '', headers: [], body: '{}' };
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

  it('are not taken while draining', async () => {
    const { directory, ask } = setUp(1);
    await directory.drain();
    expect(() => ask('late')).toThrow(expect.objectContaining({ code: 'DRAINING' }));
  });
});
