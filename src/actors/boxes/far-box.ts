/** A box whose agent has joined, as the head sees it: its clients, its workers, and the objects that lie there. Ends with the agent's connection. */
import { asTwinkleError, TwinkleError } from '../../errors.js';
import type { Demand } from '../../protocol/work.js';
import { WithBody } from '../client.js';
import type { Job } from '../job.js';
import type { NodeService } from '../node-service.js';
import { HERE } from '../object-desk.js';
import type { Seat } from '../seats.js';
import type { Source } from '../source.js';
import { IN_BLOCK, sizeOf } from '../value-size.js';
import type { Worker } from '../worker.js';
import type { Workplace } from '../workplace.js';
import { AGENT_ASKS, AGENT_TELLS, bytesOf, handle } from './box-methods.js';
import { FarClient, FarWorker, joined } from './far-client.js';
import { readAgain } from './read-again.js';
import {
  type AgentAsks,
  type AgentTells,
  type Found,
  type HeadAsks,
  type HeadTells,
  type Link,
  NUMBERS,
} from './words.js';

/** What it needs of the head's service. */
export type BoxHost = Pick<NodeService, 'enter' | 'enterWorker' | 'left' | 'ask' | 'told' | 'broken' | 'objects'>;

export interface FarBoxOptions {
  readonly node: string;
  /** First of its client numbers. */
  readonly first: number;
  readonly link: Link<HeadAsks, HeadTells>;
  readonly host: BoxHost;
  /** Id of the head's node. */
  readonly head: string;
  /** Bytes of an object that lies there. */
  read(node: string, id: string, ...to: Parameters<Source['read']>): Promise<void>;
  /** A worker there has ended. */
  workerEnded(node: string, path: string): void;
}

export class FarBox implements Workplace {
  readonly node: string;
  readonly #options: FarBoxOptions;
  readonly #clients = new Map<number, FarClient>();
  readonly #workers = new Map<number, FarWorker>();
  /** Questions without an answer, by token. */
  readonly #open = new Map<number, AbortController>();
  /** Objects that nobody holds any more, to be told with the next. */
  #dropped: string[] = [];
  #lost: string | null = null;
  readonly #asks: { readonly [M in keyof AgentAsks]: (params: AgentAsks[M]['params']) => unknown } = {
    'work.ask': (said) => this.#ask(said),
    'work.seal': ({ client, seal }) => {
      const bytes = sizeOf(seal.value, IN_BLOCK);
      return this.#options.host.objects.sealAway(this.#client(client).id, seal, this.#source(seal.id, bytes));
    },
    'work.find': (wanted) => this.#find(wanted),
  };
  readonly #tells: { readonly [M in keyof AgentTells]: (params: AgentTells[M]) => void } = {
    'work.joined': (one) => this.#joined(one),
    'work.gone': ({ client, reason }) => this.#gone(client, reason),
    'work.tell': (said) => this.#told(said),
    'work.withdraw': ({ token }) => this.#open.get(token)?.abort(),
    'work.broken': ({ node, path, why }) => this.#options.host.broken(node, path, why),
    'work.ended': ({ client, end }) => {
      const worker = this.#workers.get(client);
      this.#workers.delete(client);
      worker?.over.resolve(end);
      if (worker !== undefined) this.#options.workerEnded(this.node, worker.path);
    },
  };

  constructor(options: FarBoxOptions) {
    this.#options = options;
    this.node = options.node;
  }

  async take(job: Job, seat: Seat, demand: Demand): Promise<Worker> {
    this.#refuseWhenLost();
    const client = await this.#options.link.call('work.take', { job, seat, demand }).catch((error: unknown) => {
      this.#refuseWhenLost();
      throw error;
    });
    const worker = this.#workers.get(client);
    if (worker !== undefined) return worker;
    this.#refuseWhenLost();
    throw new TwinkleError('RANK_FAILED', `worker ${client} of node ${this.node} ended as it was given work`);
  }

  giveBack({ id }: Worker): void {
    this.cast('work.give-back', { client: id });
  }

  /** Tell its agent. */
  cast<M extends keyof HeadTells & string>(method: M, params: HeadTells[M]): void {
    if (this.#lost === null) this.#options.link.cast(method, params);
  }

  /** Nobody holds that object any more; it may have its bytes, or a copy. */
  drop(id: string): void {
    if (this.#dropped.push(id) > 1) return;
    queueMicrotask(() => {
      this.cast('work.drop', { ids: this.#dropped });
      this.#dropped = [];
    });
  }

  /** A question of its agent. Throws `PROTOCOL` and `INVALID_REQUEST` for what means nothing. */
  answer(method: string, params: unknown): unknown {
    return handle(AGENT_ASKS, this.#asks, method, params);
  }

  /** What its agent tells. What it throws ends the connection. */
  heard(method: string, params: unknown): void {
    handle(AGENT_TELLS, this.#tells, method, params);
  }

  /** Its agent has left, or cannot be heard: nothing of it goes on. */
  left(why: string): void {
    this.#lost = why;
    for (const question of this.#open.values()) question.abort();
    for (const client of [...this.#clients.keys()]) this.#gone(client, why);
    const how = `its node ${this.node} was lost: ${why}`;
    for (const { over } of this.#workers.values()) over.resolve({ code: null, signal: null, how, logTail: [] });
    this.#workers.clear();
  }

  #source(id: string, bytes: number): Source {
    const { node } = this;
    return {
      ...{ bytes, node, remove: () => this.drop(id), isLost: () => this.#lost !== null },
      read: async (to, signal) => {
        if (this.#lost !== null) throw this.#gotLost(id);
        try {
          const read = (): Promise<void> => this.#options.read(node, id, to, signal);
          await readAgain(read, () => this.#lost === null, signal);
        } catch (error) {
          throw this.#lost === null ? error : this.#gotLost(id);
        }
      },
    };
  }

  #gotLost(id: string): TwinkleError {
    return new TwinkleError(
      'OBJECT_LOST',
      `object ${id} is lost: it was on node ${this.node}, which has left (${this.#lost})`,
    );
  }

  #refuseWhenLost(): void {
    if (this.#lost !== null) throw new TwinkleError('NODE_LOST', `node ${this.node} has left: ${this.#lost}`);
  }

  #client(number: number): FarClient {
    const client = this.#clients.get(number);
    if (client === undefined) throw new TwinkleError('PROTOCOL', `client ${number} is not there (any more)`);
    return client;
  }

  #joined({ client: number, hello, worker }: AgentTells['work.joined']): void {
    const { first, host } = this.#options;
    if (!(number >= first && number < first + NUMBERS) || this.#clients.has(number)) {
      throw new TwinkleError('PROTOCOL', `node ${this.node} has no client ${number}`);
    }
    const client = new FarClient(number, hello, this);
    try {
      host.enter(client);
    } catch (error) {
      client.close(asTwinkleError(error).message);
      return;
    }
    this.#clients.set(number, client);
    if (worker === null) return;
    const far = new FarWorker(client, worker.pid, worker.path, this);
    this.#workers.set(number, far);
    host.enterWorker(far);
  }

  #gone(number: number, reason: string): void {
    if (this.#clients.delete(number)) this.#options.host.left(number, reason);
  }

  #told({ client, method, params, body }: AgentTells['work.tell']): void {
    const found = this.#clients.get(client);
    if (found === undefined) return; // it was cut off
    try {
      this.#options.host.told(found, method, params ?? {}, bytesOf(body));
    } catch (error) {
      found.close(asTwinkleError(error).message);
    }
  }

  #find({ client, token, id }: AgentAsks['work.find']['params']): Promise<Found> {
    const { host, head } = this.#options;
    return this.#withdrawable(token, async (signal) => {
      const found = await host.objects.find(this.#client(client).id, id, this.node, signal);
      return { ...found, node: found.node === HERE ? head : found.node };
    });
  }

  #ask({
    client,
    token,
    method,
    params,
    body,
  }: AgentAsks['work.ask']['params']): Promise<AgentAsks['work.ask']['result']> {
    return this.#withdrawable(token, async (signal) => {
      const value = await this.#options.host.ask(this.#client(client), method, params ?? {}, bytesOf(body), signal);
      return value instanceof WithBody ? [value.value, joined(value.body)] : [value ?? null, null];
    });
  }

  async #withdrawable<T>(token: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const question = new AbortController();
    this.#open.set(token, question);
    try {
      return await act(question.signal);
    } catch (error) {
      throw question.signal.aborted ? new TwinkleError('ABORTED', 'the question was withdrawn') : error;
    } finally {
      this.#open.delete(token);
    }
  }
}
