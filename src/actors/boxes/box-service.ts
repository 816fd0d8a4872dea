/**
 * The service of a box that is not the head's: its clients join here, its workers and the memory for objects are here; everything else that
 * clients ask, the head answers. Ends when the head is not heard any more.
 */
import { TwinkleError } from '../../errors.js';
import type { Native } from '../../native/types.js';
import type { Logger } from '../../observability/logger.js';
import type { ActorState, Demand, Lease } from '../../protocol/work.js';
import type { RankLauncher } from '../../supervisor/launcher.js';
import { type Client, WithBody } from '../client.js';
import type { ClientPeer } from '../client-peer.js';
import { type Job, jobOf } from '../job.js';
import { LetGoRounds } from '../let-go.js';
import type { MaskRules } from '../masks.js';
import { ASKS, isMethod, TELLS } from '../methods.js';
import { ObjectDesk, type ObjectStatus } from '../object-desk.js';
import { Reception } from '../reception.js';
import { keysOf, type RuntimeEnvs } from '../runtime-envs.js';
import { shaped } from '../shape.js';
import { SlabStore } from '../slab-store.js';
import { SpillFiles } from '../spill-files.js';
import { WorkerPool } from '../worker-pool.js';
import type { WorkerProcess } from '../worker-process.js';
import { OwnWorkplace } from '../workplace.js';
import { bytesOf, HEAD_ASKS, HEAD_TELLS, handle } from './box-methods.js';
import { BoxObjects } from './box-objects.js';
import { fetchFile } from './fetch-file.js';
import { Questions } from './questions.js';
import { Ways } from './ways.js';
import type { AgentAsks, AgentTells, BoxWelcome, HeadAsks, HeadTells, Link } from './words.js';

export interface BoxServiceOptions extends MaskRules {
  readonly native: Native;
  readonly log: Logger;
  /** Id of this box in the ledger. */
  readonly node: string;
  /** Of this box's agent. */
  readonly instance: string;
  readonly welcome: BoxWelcome;
  readonly link: Link<AgentAsks, AgentTells>;
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
}

const NO_BYTES = Buffer.alloc(0);

export class BoxService implements AsyncDisposable {
  readonly objects: ObjectDesk;
  readonly #options: BoxServiceOptions;
  readonly #slabs: SlabStore;
  readonly #pool: WorkerPool;
  readonly #place: OwnWorkplace;
  readonly #reception: Reception;
  readonly #ways: Ways;
  readonly #questions: Questions;
  readonly #boxObjects: BoxObjects;
  readonly #letGo = new LetGoRounds((client) => this.#clients.get(client));
  readonly #clients = new Map<number, ClientPeer>();
  readonly #workers = new Map<number, WorkerProcess>();
  #nextClient: number;
  readonly #asks: { readonly [M in keyof HeadAsks]: (params: HeadAsks[M]['params']) => unknown } = {
    'work.take': (wanted) => this.#take(wanted),
  };
  readonly #tells: { readonly [M in keyof HeadTells]: (params: HeadTells[M]) => void } = {
    'work.give-back': ({ client }) => {
      const worker = this.#workers.get(client);
      if (worker !== undefined) this.#place.giveBack(worker);
    },
    'work.kill': ({ client }) => this.#workers.get(client)?.kill(),
    'work.tell': (said) => this.#tell(said),
    'work.close': ({ client, reason }) => this.#clients.get(client)?.close(reason),
    'work.drop': ({ ids }) => void this.#boxObjects.drop(ids),
    'work.job-ended': ({ driver }) => {
      this.#pool.endJob(driver);
      this.#options.envs.folders.letGo(driver);
    },
    'work.doors': ({ doors }) => this.#ways.learn(doors),
    'work.worker-ended': ({ node, path }) => this.#ways.workerEnded(node, path),
  };

  constructor(options: BoxServiceOptions) {
    this.#options = options;
    const { native, log, node, instance, welcome, socketFolder, logFolder } = options;
    this.#nextClient = welcome.first;
    const nextClient = (): number => {
      const { first, numbers } = welcome;
      if (this.#nextClient < first + numbers) return this.#nextClient++;
      const most = `this box has had ${numbers} programs and workers, and can count no further`;
      throw new TwinkleError('OVERLOADED', `${most}: start its agent again`);
    };
    this.#slabs = new SlabStore(native, `twinkle-${instance}`, options.storeBytes, (slab) => {
      for (const client of this.#clients.values()) client.tell('slab.gone', { slab });
    });
    const spill = new SpillFiles(options.spillFolder);
    this.objects = new ObjectDesk(this.#slabs, spill, (openers, collect) => this.#letGo.ask(openers, collect));
    this.#pool = new WorkerPool({
      // Workers answer clients of the head's instance, whichever box they are on.
      ...{ native, node, instance: welcome.instance, socketFolder, logFolder, nextClient },
      ...{ launcher: options.launcher, spare: options.spareWorkers },
      welcome: (worker) => this.#welcomeWorker(worker),
    });
    const { indexOf, mayMask, envs } = options;
    this.#place = new OwnWorkplace({ node, pool: this.#pool, envs, indexOf, mayMask });
    this.#ways = new Ways({
      ...{ node, doors: welcome.doors, socketFolder, log },
      broken: (to, path, why) => options.link.cast('work.broken', { node: to, path, why }),
    });
    this.#questions = new Questions(options.link);
    this.#boxObjects = new BoxObjects({ desk: this.objects, questions: this.#questions, ways: this.#ways });
    this.#reception = new Reception({
      ...{ node, log, nextClient },
      admit: (driver) => {
        this.#pool.beginJob(jobOf(driver.id, driver.hello));
        this.#options.link.cast('work.joined', { client: driver.id, hello: driver.hello, worker: null });
        this.#admit(driver);
      },
    });
  }

  /** Listen for drivers. @param path of the socket, in a 0700 folder */
  listen(path: string): Promise<void> {
    return this.#reception.listen(path);
  }

  status(): { readonly drivers: number; readonly workers: number; readonly store: ObjectStatus } {
    const drivers = [...this.#clients.values()].filter(({ hello }) => hello.kind === 'driver').length;
    return { drivers, workers: this.#pool.workers.size, store: this.objects.status() };
  }

  /** A question of the head. Throws `PROTOCOL` and `INVALID_REQUEST` for what means nothing. */
  answer(method: string, params: unknown): unknown {
    return handle(HEAD_ASKS, this.#asks, method, params);
  }

  /** What the head tells. What it throws ends the connection. */
  heard(method: string, params: unknown): void {
    handle(HEAD_TELLS, this.#tells, method, params);
  }

  /** Ends every worker, and the connections of all clients. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#reception[Symbol.asyncDispose]();
    for (const client of this.#clients.values()) client.close('the agent of this box ends, or has lost its head');
    await Promise.all([this.#pool[Symbol.asyncDispose](), this.#options.envs[Symbol.asyncDispose](), closed]);
    await this.#ways[Symbol.asyncDispose]();
    await this.objects.settled();
    this.#slabs[Symbol.dispose]();
  }

  // ---- clients ----

  #welcomeWorker(worker: WorkerProcess): void {
    const { link } = this.#options;
    const { id, pid, path, peer } = worker;
    this.#workers.set(id, worker);
    link.cast('work.joined', { client: id, hello: peer.hello, worker: { pid, path } });
    void worker.ended.then((end) => {
      this.#workers.delete(id);
      link.cast('work.ended', { client: id, end });
    });
    this.#admit(peer);
  }

  #admit(client: ClientPeer): void {
    const { node, welcome } = this.#options;
    this.#clients.set(client.id, client);
    this.objects.joined(client.id);
    client.welcome(
      // References are counted by the head: what was sealed here must be known there before it is spoken of.
      { node, instance: welcome.instance, inline_bytes: welcome.inlineBytes, settle: true },
      {
        ask: (method, params, body, signal) => this.#ask(client, method, params, body, signal),
        tell: (method, params, body) => this.#told(client, method, params, body),
        gone: (reason) => this.#gone(client, reason),
      },
    );
  }

  #gone({ id }: Client, reason: string): void {
    if (!this.#clients.delete(id)) return;
    this.objects.gone(id);
    this.#letGo.gone(id);
    this.#options.envs.folders.letGo(id);
    this.#pool.endJob(id);
    this.#options.link.cast('work.gone', { client: id, reason });
    // A worker that nobody hears is of no use to anybody.
    this.#workers.get(id)?.kill();
  }

  #ask(client: ClientPeer, method: string, params: unknown, body: Buffer, signal: AbortSignal): unknown {
    const { objects } = this;
    if (!isMethod(ASKS, method)) throw new TwinkleError('PROTOCOL', `a node service has no method \`${method}\``);
    switch (method) {
      case 'object.reserve':
        return objects.reserve(client.id, shaped(ASKS[method], params, method), signal);
      case 'object.abandon':
        return objects.abandon(client.id, shaped(ASKS[method], params, method).id);
      case 'object.seal':
        return this.#boxObjects.seal(client.id, shaped(ASKS[method], params, method));
      case 'object.open':
        return this.#boxObjects.open(client.id, shaped(ASKS[method], params, method), signal);
      case 'slab.where':
        return objects.slab(shaped(ASKS[method], params, method).slab);
      case 'lease':
        return this.#lease(client.id, params, signal);
      default:
        return this.#forward(client.id, method, params, body, signal);
    }
  }

  #told(client: ClientPeer, method: string, params: unknown, body: Buffer): void {
    if (!isMethod(TELLS, method)) throw new TwinkleError('PROTOCOL', `it told \`${method}\`, which means nothing here`);
    switch (method) {
      case 'object.close':
        this.objects.close(client.id, shaped(TELLS[method], params, method));
        return;
      case 'object.let-go':
        this.#letGo.done(client.id, shaped(TELLS[method], params, method).token);
        return;
      case 'object.seal':
        throw new TwinkleError('PROTOCOL', 'it told `object.seal`, which has to be asked here');
      default:
        this.#options.link.cast('work.tell', { client: client.id, method, params, body });
    }
  }

  async #forward(client: number, method: string, params: unknown, body: Buffer, signal: AbortSignal): Promise<unknown> {
    const said = { client, method, params, body };
    const [value, bytes] = await this.#questions.withdrawable('work.ask', said, signal);
    return bytes === null ? value : new WithBody(value, [bytes]);
  }

  #tell({ client, method, params, body: said }: HeadTells['work.tell']): void {
    const body = bytesOf(said);
    const peer = this.#clients.get(client);
    if (peer === undefined) return;
    peer.tell(
      method,
      method === 'actor' ? this.#reached(params as ActorState) : params,
      body.byteLength === 0 ? [] : [body],
    );
  }

  // ---- workers ----

  async #take({ job, seat, demand }: HeadAsks['work.take']['params']): Promise<number> {
    this.#pool.beginJob(job);
    await this.#bring(job, demand);
    const worker = await this.#place.take(job, seat, demand);
    // For as long as it lives: what it runs may outlive its driver.
    if (demand.runtime_env !== undefined) this.#options.envs.folders.keep(worker.id, keysOf(demand.runtime_env));
    return worker.id;
  }

  /** Folders that it needs, from the head: that was given them. */
  async #bring({ driver, python }: Job, { runtime_env: wanted }: Demand): Promise<void> {
    if (wanted === undefined) return;
    const { envs, welcome } = this.#options;
    const fetched = (key: string) => (path: string) =>
      fetchFile((want) => this.#ways.knock(welcome.head, want), { t: 'folder', key }, path);
    await Promise.all(keysOf(wanted).map((key) => envs.folders.bring(driver, python, key, fetched(key))));
  }

  async #lease(client: number, params: unknown, signal: AbortSignal): Promise<Lease> {
    const lease = (await this.#forward(client, 'lease', params, NO_BYTES, signal)) as Lease;
    try {
      return { ...lease, path: this.#ways.reach(lease.node, lease.path) };
    } catch (error) {
      const params = { lease: lease.lease };
      this.#options.link.cast('work.tell', { client, method: 'release', params, body: NO_BYTES });
      throw error;
    }
  }

  #reached(state: ActorState): ActorState {
    return state.path === '' ? state : { ...state, path: this.#ways.reach(state.node, state.path) };
  }
}
