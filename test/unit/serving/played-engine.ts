/** Replicas whose engines a test plays: a gang over a link in memory that answers the stream `http`, a little as vLLM does. */
import { TwinkleError } from '../../../src/errors.js';
import type { ToRank } from '../../../src/protocol/frames.js';
import type { HttpParams, ModelCard } from '../../../src/protocol/values.js';
import type { ReplicaGang } from '../../../src/serving/replica.js';
import type { GangState } from '../../../src/supervisor/gang-machine.js';
import { Channel } from '../../../src/transport/channel.js';
import { MemoryHub, type MemoryPeer } from '../../../src/transport/memory-hub.js';

export const CARD = {
  engine: 'vllm',
  max_num_seqs: 4,
  routes: ['/v1/responses'],
  adapters: true,
} as unknown as ModelCard;

export interface Played {
  readonly status: number;
  readonly body?: string;
}

/** What an engine answers; null: nothing, until the test does. */
export type Play = (params: HttpParams) => Played | null | Promise<Played | null>;

/** Resolves when `condition` holds; looked at after each turn of the event loop. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

/** A gang of one rank, whose engine is `play`. */
export class PlayedGang implements ReplicaGang {
  state: GangState = { at: 'ready' };
  epoch = 0;
  restarts = 0;
  readonly group = null;
  readonly stats = null;
  card: ModelCard | null = CARD;
  /** Requests of this start, as `METHOD path?query body`. */
  asked: string[] = [];
  /** Streams that were withdrawn. */
  aborted: number[] = [];
  /** Of the stream `generate`. */
  generated: unknown[] = [];
  #channel!: Channel;
  #peer!: MemoryPeer;

  constructor(
    readonly id: string,
    public play: Play,
  ) {
    this.start();
  }

  get lead(): Channel | null {
    return this.state.at === 'ready' ? this.#channel : null;
  }

  start(): void {
    const hub = new MemoryHub();
    this.epoch += 1;
    this.asked = [];
    this.#channel = new Channel(hub.link('x'), { phase() {}, violation() {} });
    const peer = hub.join('x');
    this.#peer = peer;
    peer.receive((frame) => this.#receive(peer, frame));
    this.state = { at: 'ready' };
  }

  crash(): void {
    this.state = { at: 'teardown', next: 'restart', failure: { kind: 'exit', rank: 0, message: 'gone', retry: true } };
    this.#channel.fail(new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL'));
  }

  /** Answer a stream by hand, in two parts. */
  answer(id: number, { status, body = '' }: Played, peer = this.#peer): void {
    const bytes = new TextEncoder().encode(body);
    peer.send({ t: 'items', items: [[id, { status, headers: [], body: bytes.slice(0, 3) }]] });
    peer.send({ t: 'items', items: [[id, { body: bytes.slice(3) }]] });
    peer.send({ t: 'end', id, value: null });
  }

  #receive(peer: MemoryPeer, frame: ToRank): void {
    if (frame.t === 'abort') this.aborted.push(...frame.ids);
    if (frame.t !== 'open') return;
    if (frame.method === 'generate') {
      this.generated.push(frame.params);
      peer.send({ t: 'end', id: frame.id, value: { prompt_tokens: 1, completion_tokens: 1, cached_tokens: 0 } });
      return;
    }
    const params = frame.params as HttpParams;
    const query = params.query === '' ? '' : `?${params.query}`;
    this.asked.push(`${params.method} ${params.path}${query}${params.body === '' ? '' : ` ${params.body}`}`);
    void Promise.resolve(this.play(params)).then((played) => {
      if (played !== null) this.answer(frame.id, played, peer);
    });
  }
}

/** An engine with vLLM's adapter routes; `refuse` names adapters that it cannot load. */
export function loraEngine(refuse: ReadonlyMap<string, string> = new Map()): {
  play: Play;
  loaded: Map<string, string>;
} {
  const loaded = new Map<string, string>();
  const failure = (status: number, message: string): Played => ({
    status,
    body: JSON.stringify({ error: { message, type: 'x', code: status } }),
  });
  const play: Play = ({ body, path }) => {
    if (!path.endsWith('_lora_adapter')) return { status: 200, body: '{}' };
    const {
      load_inplace: inPlace,
      lora_name: name,
      lora_path: at,
    } = JSON.parse(body) as {
      lora_name: string;
      lora_path: string;
      load_inplace?: boolean;
    };
    if (path === '/v1/unload_lora_adapter') {
      return loaded.delete(name) ? { status: 200, body: 'ok' } : failure(404, `adapter ${name} cannot be found`);
    }
    const why = refuse.get(name);
    if (why !== undefined) return failure(500, why);
    if (loaded.has(name) && inPlace !== true) return failure(400, `${name} has already been loaded`);
    loaded.set(name, at);
    return { status: 200, body: 'ok' };
  };
  return { play, loaded };
}
