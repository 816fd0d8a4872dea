/** A node service and workers that say what the test says, over real sockets, and a client that has joined them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ActorState, Demand, Joined } from '../../../src/protocol/work.js';
import { WORK_PROTOCOL } from '../../../src/protocol/work.js';
import { FramedSocket } from '../../../src/transport/framed-socket.js';
import type { CallShape } from '../../../src/work/call.js';
import { type ClientOptions, WorkClient } from '../../../src/work/client.js';
import type { Slot } from '../../../src/work/refs.js';
import { until } from '../actors/played-client.js';
import { native } from '../native/support.js';
import { PlayedWorker } from './played-worker.js';

export const CLIENT = 7;
export const INLINE_BYTES = 4096;

/** What a client asked. */
export interface Asked {
  readonly id: number;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

type Heard = Asked & { readonly t: string };

export class PlayedNode {
  readonly folder = mkdtempSync(join(tmpdir(), 'played-'));
  readonly path = join(this.folder, 'node.sock');
  /** What it was asked and told, and has not looked at yet. */
  readonly asks: Asked[] = [];
  readonly tells: Asked[] = [];
  /** Numbers of questions that were withdrawn. */
  readonly withdrawn: number[] = [];
  hello: Readonly<Record<string, unknown>> | null = null;
  /** Answers that are given at once. */
  readonly answers: Record<string, (params: Asked['params']) => unknown> = {
    'object.hold': () => ({}),
    'object.publish': () => ({}),
  };
  /** Said to who joins, beside the rest. */
  more: Partial<Joined> = {};
  /** Whether who joins is let in at once. */
  welcomes = true;
  readonly #server: Server;
  readonly #workers: PlayedWorker[] = [];
  #socket: Socket | null = null;
  #framed: FramedSocket | null = null;

  private constructor() {
    this.#server = createServer((socket) => {
      this.#socket = socket;
      this.#framed = new FramedSocket(socket, {
        frame: (head, body) => this.#heard(head as Heard, Buffer.from(body)),
        end: () => {},
      });
    });
  }

  static async open(): Promise<PlayedNode> {
    const node = new PlayedNode();
    await new Promise<void>((resolve) => node.#server.listen(node.path, resolve));
    return node;
  }

  send(head: object, body: readonly Uint8Array[] = []): void {
    this.#framed?.send(head, body);
  }

  welcome(): void {
    const joined = { t: 'joined', client: CLIENT, node: 'node-1', instance: 'one', inline_bytes: INLINE_BYTES };
    this.send({ ...joined, ...this.more });
  }

  /** Tell the client something. */
  say(method: string, params: unknown, body: readonly Uint8Array[] = []): void {
    this.send({ t: 'tell', method, params }, body);
  }

  /** Say how an actor is. */
  actor(state: Partial<ActorState> & Pick<ActorState, 'id' | 'state'>, body: readonly Uint8Array[] = []): void {
    this.say('actor', { ...{ epoch: 0, path: '', pid: 11, node: 'node-1', reason: '', cause: null }, ...state }, body);
  }

  /** The next question of that kind. */
  async asked(method: string): Promise<Asked> {
    return await next(this.asks, method);
  }

  /** The next word of that kind. */
  async told(method: string): Promise<Asked> {
    return await next(this.tells, method);
  }

  answer({ id }: Asked, value: unknown, body: readonly Uint8Array[] = []): void {
    this.send({ t: 'answer', id, value }, body);
  }

  refuse(id: number, code: string, message = 'because'): void {
    this.send({ t: 'refusal', id, code, message, details: {} });
  }

  /** Lease that worker to who asked. */
  lease(asked: Asked, lease: number, worker: PlayedWorker): void {
    this.answer(asked, { lease, worker: lease + 100, pid: lease + 1000, node: 'node-1', path: worker.path });
  }

  async worker(name = `w${this.#workers.length}`): Promise<PlayedWorker> {
    const worker = await PlayedWorker.open(join(this.folder, `${name}.sock`));
    this.#workers.push(worker);
    return worker;
  }

  /** It ends in the middle of things. */
  leave(): void {
    this.#socket?.destroy();
  }

  async close(): Promise<void> {
    this.leave();
    for (const worker of this.#workers) await worker.die();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #heard(said: Heard, body: Buffer): void {
    if (said.t === 'join') {
      this.hello = { ...said };
      if (this.welcomes) this.welcome();
    } else if (said.t === 'tell') this.tells.push({ ...said, body });
    else if (said.t === 'withdraw-ask') this.withdrawn.push(said.id);
    else {
      const answer = this.answers[said.method];
      if (answer === undefined) this.asks.push({ ...said, body });
      else this.answer(said, answer(said.params));
    }
  }
}

async function next(list: Asked[], method: string): Promise<Asked> {
  await until(() => list.some((one) => one.method === method), `the node hears ${method}`);
  return list.splice(
    list.findIndex((one) => one.method === method),
    1,
  )[0] as Asked;
}

export const HELLO = {
  ...{ protocol: WORK_PROTOCOL, kind: 'driver', pid: 1, path: '', python: '/py', namespace: 'here' },
  ...{ sys_path: [], cwd: '/' },
};

/** What stands for an actor's handle in these tests. */
export class PlayedHandle {
  constructor(readonly id: string) {}
}

export async function joinedClient(node: PlayedNode, over: Partial<ClientOptions> = {}): Promise<WorkClient> {
  return await WorkClient.join(connect(node.path), HELLO, {
    ...{ native, namespace: 'here', printed: () => {} },
    cardOf: (value) => (value instanceof PlayedHandle ? cardOf(value.id) : null),
    handleOf: (card) => new PlayedHandle(card.id),
    ...over,
  });
}

export function cardOf(id: string, ordered = true) {
  return { id, cls_name: 'Counter', name: '', namespace: 'here', methods: {}, max_task_retries: 0, ordered };
}

export function shapeOf(over: Partial<CallShape> = {}): CallShape {
  return {
    ...{ target: 'go', where: 'Counter.go', retries: 0, again: false, group: '', returns: null, items: null },
    ...over,
  };
}

export const DEMAND: Demand = {
  ...{ resources: { CPU: 1 }, strategy: 'default', node: '', soft: false, selectors: {}, group: null, env: {} },
};

/** The value of a slot, once it is there. */
export async function resultOf(client: WorkClient, slot: Slot): Promise<unknown> {
  await client.whenDone([slot], 1);
  if (slot.stored === null) throw new Error('it is done');
  return await client.objects.valueOf(slot.stored);
}

/** The code of the error that a slot has; `done` when it has a value. */
export async function codeOf(client: WorkClient, slot: Slot): Promise<string> {
  return await resultOf(client, slot).then(
    () => 'done',
    (error: { readonly code?: string }) => error.code ?? String(error),
  );
}

/** All that was said on either side before has been heard by the client: its answer comes after. */
export async function settled(node: PlayedNode, client: WorkClient): Promise<void> {
  node.answers.settled = () => null;
  await client.link.ask('settled' as 'cluster.snapshot', {});
}
