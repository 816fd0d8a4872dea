/**
 * The service of a head for actors, tasks and objects: who joins, and which desk answers what. Those of its own box join here; for those of
 * other boxes their agents speak (`boxes/`). Wiring only.
 */
import type { Cluster } from '../cluster/api.js';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { Logger } from '../observability/logger.js';
import type { RankLauncher } from '../supervisor/launcher.js';
import { ActorDesk } from './actor-desk.js';
import { type Client, WithBody } from './client.js';
import type { ClientPeer } from './client-peer.js';
import { CodeStore } from './code-store.js';
import type { FolderStore } from './folder-store.js';
import { GroupDesk } from './group-desk.js';
import { type Job, jobOf } from './job.js';
import { LeaseDesk } from './lease-desk.js';
import { LetGoRounds } from './let-go.js';
import type { MaskRules } from './masks.js';
import { ASKS, type Asks, isMethod, TELLS, type Tells } from './methods.js';
import { ObjectDesk } from './object-desk.js';
import { Reception } from './reception.js';
import type { RuntimeEnvs } from './runtime-envs.js';
import { type Groups, Seats } from './seats.js';
import { shaped } from './shape.js';
import { SlabStore } from './slab-store.js';
import { SpillFiles } from './spill-files.js';
import { TaskReports } from './task-reports.js';
import { listedActors, listedObjects, listedTasks, type WorkLists, type WorkStatus } from './work-lists.js';
import type { Worker } from './worker.js';
import { WorkerPool } from './worker-pool.js';
import type { WorkerProcess } from './worker-process.js';
import { OwnWorkplace, Workplaces } from './workplace.js';

export interface NodeServiceOptions extends MaskRules {
  readonly native: Native;
  readonly cluster: Pick<Cluster, 'snapshot'> & Groups;
  readonly log: Logger;
  /** Id of this box in the ledger. */
  readonly node: string;
  readonly instance: string;
  /** 0700; sockets of workers. */
  readonly socketFolder: string;
  readonly logFolder: string;
  /** Bytes of large objects. */
  readonly storeBytes: number;
  /** 0700; where they go while memory has no room. */
  readonly spillFolder: string;
  /** Spare workers of each interpreter. */
  readonly spareWorkers: number;
  /** Ended with the service. */
  readonly envs: RuntimeEnvs;
  launcher(python: string): RankLauncher;
  /** Absent: this box is alone. */
  readonly others?: OtherBoxes;
}

/** What a service needs of the boxes beside its own. */
export interface OtherBoxes {
  /** Where a client of this box calls a worker of another. */
  reach(node: string, path: string): string;
  /** A driver has ended: workers that wait there for its next work end, too. */
  jobEnded(driver: number): void;
  /** A worker of this box has ended: nobody can call it any more. */
  workerEnded(path: string): void;
}

/** Values up to so many bytes travel in frames. As Ray's. */
export const INLINE_BYTES = 100 * 1024;

type AskHandlers = {
  readonly [M in keyof Asks]: (client: Client, params: Asks[M], body: Buffer, signal: AbortSignal) => unknown;
};
type TellHandlers = {
  readonly [M in keyof Tells]: (client: Client, params: Tells[M], body: Buffer) => void;
};

export class NodeService implements AsyncDisposable {
  /** Of this box; it counts references of all boxes. */
  readonly objects: ObjectDesk;
  readonly #options: NodeServiceOptions;
  readonly #slabs: SlabStore;
  readonly #pool: WorkerPool;
  readonly #leases: LeaseDesk;
  readonly #actors: ActorDesk;
  readonly #groups: GroupDesk;
  readonly #code = new CodeStore();
  readonly #folders: FolderStore;
  readonly #reports = new TaskReports({
    clients: () => this.#clients.values(),
    after: (ms, act) => {
      const timer = setTimeout(act, ms);
      return () => clearTimeout(timer);
    },
  });
  readonly #letGo = new LetGoRounds((client) => this.#clients.get(client));
  readonly #reception: Reception;
  readonly #clients = new Map<number, Client>();
  readonly #jobs = new Map<number, Job>();
  readonly #workers = new Map<number, Worker>();
  /** Where workers run: other boxes are added to it. */
  readonly workplaces: Workplaces;
  readonly #asks: AskHandlers = {
    lease: (client, demand, _body, signal) => this.#leases.acquire(client, this.#jobOf(client), demand, signal),
    'actor.create': (client, spec, body) => this.#actors.create(client, this.#jobOf(client), spec, body),
    'actor.find': (client, { namespace, name }) => this.#actors.find(client, namespace, name),
    'actor.names': (_client, { namespace }) => this.#actors.named(namespace),
    'actor.kill': (_client, { id, restart }) => this.#actors.kill(id, restart),
    'actor.exit': (client) => this.#actors.exit(client.id),
    'code.put': (_client, { key, name }, body) => this.#code.put(key, name, body),
    'code.get': (_client, { key }) => {
      const { name, blob } = this.#code.get(key);
      return new WithBody(name, [blob]);
    },
    'folder.has': (client, { key }) => this.#folders.has(client.id, key),
    'folder.put': (client, part, body) => this.#folders.put(client.id, this.#jobOf(client).python, part, body),
    'object.reserve': (client, params, _body, signal) => this.objects.reserve(client.id, params, signal),
    'object.seal': (client, params) => this.objects.seal(client.id, params),
    'object.abandon': (client, { id }) => this.objects.abandon(client.id, id),
    'object.publish': (client, params, body) => this.objects.publish(client.id, params, body),
    'object.hold': (client, params) => this.objects.hold(client.id, params),
    'object.open': (client, params, _body, signal) => this.objects.open(client.id, params, signal),
    'object.look': (client, { id }, _body, signal) => this.objects.look(client.id, id, signal),
    'slab.where': (_client, { slab }) => this.objects.slab(slab),
    'group.create': (client, group) => this.#groups.create(client.id, group),
    'group.ready': (_client, { id }, _body, signal) => this.#groups.ready(id, signal),
    'group.find': (_client, { name, namespace }) => this.#groups.named(name, namespace),
    'group.remove': (_client, { id }) => this.#groups.remove(id),
    'cluster.snapshot': () => this.#options.cluster.snapshot(),
  };
  readonly #tells: TellHandlers = {
    'object.seal': (client, params) => this.objects.seal(client.id, params),
    'object.fulfil': (client, params, body) => this.objects.publish(client.id, params, body),
    'object.drop': (client, params) => this.objects.drop(client.id, params),
    'object.close': (client, params) => this.objects.close(client.id, params),
    'object.let-go': (client, { token }) => this.#letGo.done(client.id, token),
    'actor.watch': (client, { id }) => this.#actors.watch(client, id),
    'actor.born': (client, params, body) => {
      const worker = this.#workers.get(client.id);
      if (worker !== undefined) this.#actors.born(worker, params, body);
    },
    release: (client, { lease }) => this.#leases.release(client.id, lease),
    blocked: (client) => this.#leases.blocked(client.id),
    printed: (client, printed) => {
      const driver = this.#clients.get(this.#jobs.get(client.id)?.driver ?? -1);
      driver?.tell('printed', { ...printed, pid: client.hello.pid });
    },
    report: (client, report) => this.#reports.heard(client.id, report),
    interrupt: (_client, params) => {
      const worker = params.actor === undefined ? params.worker : this.#actors.workerOf(params.actor);
      this.#workers.get(worker)?.peer.tell('interrupt', params);
    },
  };
  readonly lists: WorkLists = {
    actors: () => listedActors(this.#actors.list()),
    tasks: async () => listedTasks(await this.#reports.collect(), (client) => this.#pidOf(client)),
    objects: () => listedObjects(this.objects.list(), this.#actors.list(), (client) => this.#pidOf(client)),
  };
  #nextClient = 1;

  constructor(options: NodeServiceOptions) {
    this.#options = options;
    const { native, cluster, node, log, instance } = options;
    this.#slabs = new SlabStore(native, `twinkle-${instance}`, options.storeBytes, (slab) => {
      for (const client of this.#clients.values()) client.tell('slab.gone', { slab });
    });
    this.#folders = options.envs.folders;
    const spill = new SpillFiles(options.spillFolder);
    this.objects = new ObjectDesk(this.#slabs, spill, (openers, collect) => this.#letGo.ask(openers, collect));
    this.#pool = new WorkerPool({
      ...{ native, node, instance, socketFolder: options.socketFolder, logFolder: options.logFolder },
      ...{ launcher: options.launcher, spare: options.spareWorkers, nextClient: () => this.#nextClient++ },
      welcome: (worker) => this.#welcomeWorker(worker),
    });
    this.#groups = new GroupDesk(cluster);
    this.#reception = new Reception({
      ...{ node, log, nextClient: () => this.#nextClient++ },
      admit: (driver) => {
        const job = jobOf(driver.id, driver.hello);
        this.#pool.beginJob(job);
        this.#admit(driver, job);
      },
    });
    const { indexOf, mayMask, envs } = options;
    this.workplaces = new Workplaces(new OwnWorkplace({ node, pool: this.#pool, envs, indexOf, mayMask }));
    const employ = (worker: Worker, job: Job): void => {
      if (this.#clients.has(worker.id)) this.#jobs.set(worker.id, job);
    };
    const reach = (client: Client, worker: Pick<Worker, 'node' | 'path'>): string => {
      // The agent of another box knows where its own clients call others.
      const isFar = client.node === node && worker.node !== node;
      return (isFar ? options.others?.reach(worker.node, worker.path) : undefined) ?? worker.path;
    };
    const common = { seats: new Seats(cluster), workplaces: this.workplaces, employ, reach };
    this.#leases = new LeaseDesk(common);
    this.#actors = new ActorDesk({ ...common, envs, objects: this.objects, log, press: () => this.#leases.press() });
  }

  /** Listen for drivers. @param path of the socket, in a 0700 folder */
  listen(path: string): Promise<void> {
    return this.#reception.listen(path);
  }

  /** A client of another box, from now on heard by `ask` and `told`. Throws `INVALID_REQUEST`. */
  enter(client: Client): void {
    if (client.hello.kind === 'driver') this.#jobs.set(client.id, jobOf(client.id, client.hello));
    this.#clients.set(client.id, client);
    this.objects.joined(client.id);
  }

  /** A worker of another box: its client has entered. */
  enterWorker(worker: Worker): void {
    this.#workers.set(worker.id, worker);
  }

  /** Some client cannot reach that worker, though it lives: it ends, so that callers hear of it and it is begun anew. */
  broken(node: string, path: string, why: string): void {
    const worker = [...this.#workers.values()].find((one) => one.node === node && one.path === path);
    if (worker === undefined) return;
    this.#options.log.warn({ node, worker: worker.id, pid: worker.pid, why }, 'worker_not_reached');
    worker.kill();
  }

  /** It has ended. */
  left(client: number, reason: string): void {
    const found = this.#clients.get(client);
    if (found !== undefined) this.#gone(found, reason);
  }

  /** Its question; what this returns, or resolves to, is the answer. */
  ask(client: Client, method: string, params: unknown, body: Buffer, signal: AbortSignal): unknown {
    if (!isMethod(ASKS, method)) throw new TwinkleError('PROTOCOL', `a node service has no method \`${method}\``);
    return this.#asks[method](client, shaped(ASKS[method], params, method) as never, body, signal);
  }

  /** What it throws ends the client. */
  told(client: Client, method: string, params: unknown, body: Buffer): void {
    if (!isMethod(TELLS, method)) throw new TwinkleError('PROTOCOL', `it told \`${method}\`, which means nothing here`);
    this.#tells[method](client, shaped(TELLS[method], params, method) as never, body);
  }

  status(): WorkStatus {
    const clients = [...this.#clients.values()];
    const actors = this.#actors.list();
    const store = this.objects.status();
    return {
      drivers: clients.filter(({ hello }) => hello.kind === 'driver').length,
      workers: this.#pool.workers.size,
      actors: actors.filter(({ state }) => state !== 'DEAD').length,
      leases: this.#leases.list().length,
      // An object stands for each actor: they are counted once.
      store: { ...store, objects: store.objects - actors.length },
    };
  }

  /** Ends every worker; clients are told by the end of their connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#actors.close();
    const closed = this.#reception[Symbol.asyncDispose]();
    for (const client of this.#clients.values()) client.close('the node service ends');
    await Promise.all([this.#pool[Symbol.asyncDispose](), this.#options.envs[Symbol.asyncDispose](), closed]);
    await this.objects.settled();
    this.#slabs[Symbol.dispose]();
  }

  #welcomeWorker(worker: WorkerProcess): void {
    this.#workers.set(worker.id, worker);
    void worker.ended.then(() => this.#options.others?.workerEnded(worker.path));
    this.#admit(worker.peer, null);
  }

  #admit(client: ClientPeer, job: Job | null): void {
    const { node, instance } = this.#options;
    if (job !== null) this.#jobs.set(client.id, job);
    this.#clients.set(client.id, client);
    this.objects.joined(client.id);
    client.welcome(
      { node, instance, inline_bytes: INLINE_BYTES },
      {
        ask: (method, params, body, signal) => this.ask(client, method, params, body, signal),
        tell: (method, params, body) => this.told(client, method, params, body),
        gone: (reason) => this.#gone(client, reason),
      },
    );
  }

  #gone(client: Client, reason: string): void {
    if (!this.#clients.delete(client.id)) return;
    const { kind, pid } = client.hello;
    this.#options.log[kind === 'driver' ? 'info' : 'debug']({ client: client.id, kind, pid, reason }, 'client_gone');
    this.#reports.gone(client.id);
    this.#actors.clientGone(client);
    this.#leases.clientGone(client.id);
    this.#groups.clientGone(client.id);
    this.objects.gone(client.id);
    this.#letGo.gone(client.id);
    this.#folders.letGo(client.id);
    this.#jobs.delete(client.id);
    this.#pool.endJob(client.id);
    if (kind === 'driver') this.#options.others?.jobEnded(client.id);
    // A worker that nobody hears is of no use to anybody.
    this.#workers.get(client.id)?.kill();
    this.#workers.delete(client.id);
  }

  /** Null: it is not there any more. */
  #pidOf(client: number): number | null {
    return this.#clients.get(client)?.hello.pid ?? null;
  }

  #jobOf(client: Client): Job {
    const job = this.#jobs.get(client.id);
    if (job === undefined) throw new TwinkleError('PROTOCOL', `client ${client.id} works for nobody`);
    return job;
  }
}
