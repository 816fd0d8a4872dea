/** The service of a node for actors, tasks and objects: who joins, and which desk answers what. Wiring only. */
import { createServer, type Server, type Socket } from 'node:net';
import type { Cluster, Group, SeatDevice } from '../cluster/api.js';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import type { ActorBorn, ActorSpec, CodeParams, Demand, Ids, Publish, Reserve, Seal } from '../protocol/work.js';
import type { RankLauncher } from '../supervisor/launcher.js';
import { ActorDesk, type ActorFacts } from './actor-desk.js';
import { ClientPeer, WithBody } from './client-peer.js';
import { CodeStore } from './code-store.js';
import { type Job, jobOf } from './job.js';
import { LeaseDesk, type LeaseFacts } from './lease-desk.js';
import { ObjectDesk, type ObjectStatus } from './object-desk.js';
import type { ObjectFacts } from './object-types.js';
import { seatOf } from './seat.js';
import { SlabStore } from './slab-store.js';
import { type Worker, WorkerPool } from './worker-pool.js';

export interface NodeServiceOptions {
  readonly native: Native;
  readonly cluster: Cluster;
  readonly log: Logger;
  /** Id of this box in the ledger. */
  readonly node: string;
  readonly instance: string;
  /** 0700; sockets of workers. */
  readonly socketFolder: string;
  readonly logFolder: string;
  /** Bytes of large objects. */
  readonly storeBytes: number;
  /** Spare workers of each interpreter. */
  readonly spareWorkers: number;
  launcher(python: string): RankLauncher;
  /** Number by which a vendor's runtime knows a device. */
  indexOf(device: SeatDevice): string;
  /** False: the user keeps that variable (`NOSET`). */
  mayMask(variable: string): boolean;
}

/** Values up to so many bytes travel in frames. As Ray's. */
const INLINE_BYTES = 100 * 1024;

/** What `status` shows. Plain JSON. */
export interface WorkStatus {
  /** Programs that have joined. */
  readonly drivers: number;
  readonly workers: number;
  /** Actors that are not dead. */
  readonly actors: number;
  /** Workers that run tasks, or wait for their next. */
  readonly leases: number;
  readonly store: ObjectStatus;
}

/** What `list` shows. Plain JSON. */
export interface WorkLists {
  readonly actors: readonly ActorFacts[];
  readonly leases: readonly LeaseFacts[];
  readonly objects: readonly ObjectFacts[];
}

export class NodeService implements AsyncDisposable {
  readonly #options: NodeServiceOptions;
  readonly #slabs: SlabStore;
  readonly #objects: ObjectDesk;
  readonly #pool: WorkerPool;
  readonly #leases: LeaseDesk;
  readonly #actors: ActorDesk;
  readonly #code = new CodeStore();
  readonly #clients = new Map<number, ClientPeer>();
  readonly #jobs = new Map<number, Job>();
  readonly #workers = new Map<number, Worker>();
  /** Questions, by method. What is asked is checked where it is used. */
  readonly #asks: Readonly<
    Record<string, (client: ClientPeer, params: never, body: Buffer, signal: AbortSignal) => unknown>
  > = {
    lease: (client, demand: Demand, _body, signal) => this.#leases.acquire(client, this.#jobOf(client), demand, signal),
    'actor.create': (client, spec: ActorSpec, body) => this.#actors.create(client, this.#jobOf(client), spec, body),
    'actor.find': (client, { namespace, name }: { namespace: string; name: string }) =>
      this.#actors.find(client, namespace, name),
    'actor.names': (_client, { namespace }: { namespace: string | null }) => this.#actors.named(namespace),
    'actor.kill': (_client, { id, restart }: { id: string; restart: boolean }) => this.#actors.kill(id, restart),
    'code.put': (_client, { key, name }: CodeParams, body) => this.#code.put(key, name, body),
    'code.get': (_client, { key }: { key: string }) => {
      const { name, blob } = this.#code.get(key);
      return new WithBody(name, [blob]);
    },
    'object.seal': (client, params: Seal) => this.#objects.seal(client.id, params),
    'object.reserve': (client, params: Reserve) => this.#objects.reserve(client.id, params),
    'object.publish': (client, params: Publish, body) => this.#objects.publish(client.id, params, body),
    'object.hold': (client, params: Ids) => this.#objects.hold(client.id, params),
    'object.open': (client, params: Ids, _body, signal) => this.#objects.open(client.id, params, signal),
    'slab.where': (_client, { slab }: { slab: number }) => this.#objects.slab(slab),
    'cluster.snapshot': () => this.#options.cluster.snapshot(),
  };
  /** Words without an answer, by method. */
  readonly #tells: Readonly<Record<string, (client: ClientPeer, params: never, body: Buffer) => void>> = {
    'object.seal': (client, params: Seal) => this.#objects.seal(client.id, params),
    'object.fulfil': (client, params: Publish, body) => this.#objects.publish(client.id, params, body),
    'object.drop': (client, params: Ids) => this.#objects.drop(client.id, params),
    'object.close': (client, params: Ids) => this.#objects.close(client.id, params),
    'actor.watch': (client, { id }: { id: string }) => this.#actors.watch(client, id),
    'actor.born': (client, params: ActorBorn, body) => {
      const worker = this.#workers.get(client.id);
      if (worker !== undefined) this.#actors.born(worker, params, body);
    },
    release: (client, { lease }: { lease: number }) => this.#leases.release(client.id, lease),
    blocked: (client) => void this.#leases.blocked(client.id),
    interrupt: (_client, params: { worker: number }) => this.#clients.get(params.worker)?.tell('interrupt', params),
  };
  #server: Server | null = null;
  #nextClient = 1;

  constructor(options: NodeServiceOptions) {
    this.#options = options;
    const { native, cluster, node, log, instance } = options;
    this.#slabs = new SlabStore(native, `twinkle-${instance}`, options.storeBytes, (slab) => {
      for (const client of this.#clients.values()) client.tell('slab.gone', { slab });
    });
    this.#objects = new ObjectDesk(this.#slabs);
    this.#pool = new WorkerPool({
      ...{ native, instance, socketFolder: options.socketFolder, logFolder: options.logFolder },
      ...{ launcher: options.launcher, spare: options.spareWorkers, nextClient: () => this.#nextClient++ },
      welcome: (worker) => this.#welcomeWorker(worker),
    });
    const seat = async (group: Group, demand: Demand) =>
      seatOf(group, group.status, demand, options.indexOf, options.mayMask);
    const employ = (worker: Worker, job: Job): void => void this.#jobs.set(worker.id, job);
    const common = { cluster, pool: this.#pool, node, seat, employ };
    this.#leases = new LeaseDesk(common);
    this.#actors = new ActorDesk({ ...common, objects: this.#objects, log, press: () => this.#leases.press() });
  }

  /** Listen for drivers. @param path of the socket, in a 0700 folder */
  async listen(path: string): Promise<void> {
    const server = createServer((socket) => void this.#driver(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => resolve());
    });
  }

  status(): WorkStatus {
    const clients = [...this.#clients.values()];
    return {
      drivers: clients.filter(({ hello }) => hello.kind === 'driver').length,
      workers: this.#pool.workers.size,
      actors: this.#actors.list().filter(({ state }) => state !== 'DEAD').length,
      leases: this.#leases.list().length,
      store: this.#objects.status(),
    };
  }

  lists(): WorkLists {
    return { actors: this.#actors.list(), leases: this.#leases.list(), objects: this.#objects.list() };
  }

  /** Ends every worker; clients are told by the end of their connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    const closed = new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
    this.#actors.close();
    for (const client of [...this.#clients.values()]) client.close('the node service ends');
    await this.#pool[Symbol.asyncDispose]();
    await closed;
    this.#slabs[Symbol.dispose]();
  }

  async #driver(socket: Socket): Promise<void> {
    const client = new ClientPeer(socket, this.#nextClient++);
    try {
      const hello = await client.joined;
      if (hello.kind !== 'driver') throw new TwinkleError('PROTOCOL', 'only a driver joins by this socket');
      const job = jobOf(client.id, hello);
      this.#jobs.set(client.id, job);
      this.#pool.prepare(job.python);
      this.#welcome(client);
    } catch (error) {
      client.refuse(error instanceof TwinkleError ? error : new TwinkleError('INTERNAL', String(error)));
    }
  }

  #welcomeWorker(worker: Worker): void {
    this.#workers.set(worker.id, worker);
    this.#welcome(worker.peer);
  }

  #welcome(client: ClientPeer): void {
    const { node, instance } = this.#options;
    this.#clients.set(client.id, client);
    this.#objects.joined(client.id);
    client.welcome(
      { node, instance, inline_bytes: INLINE_BYTES },
      {
        ask: (method, params, body, signal) => this.#ask(client, method, params, body, signal),
        tell: (method, params, body) => this.#told(client, method, params, body),
        gone: () => this.#gone(client),
      },
    );
  }

  #gone(client: ClientPeer): void {
    if (!this.#clients.delete(client.id)) return;
    this.#actors.clientGone(client);
    this.#leases.clientGone(client.id);
    this.#objects.gone(client.id);
    this.#jobs.delete(client.id);
    // A worker that nobody hears is of no use to anybody.
    this.#workers.get(client.id)?.kill();
    this.#workers.delete(client.id);
  }

  #ask(
    client: ClientPeer,
    method: string,
    params: Record<string, unknown>,
    body: Buffer,
    signal: AbortSignal,
  ): unknown {
    const asked = this.#asks[method];
    if (asked === undefined) throw new TwinkleError('PROTOCOL', `a node service has no method \`${method}\``);
    return asked(client, params as never, body, signal);
  }

  #told(client: ClientPeer, method: string, params: Record<string, unknown>, body: Buffer): void {
    const told = this.#tells[method];
    if (told === undefined) client.close(`it told \`${method}\`, which means nothing here`);
    else told(client, params as never, body);
  }

  #jobOf(client: ClientPeer): Job {
    const job = this.#jobs.get(client.id);
    if (job === undefined) throw new TwinkleError('PROTOCOL', `client ${client.id} works for nobody`);
    return job;
  }
}
