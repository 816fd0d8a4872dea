/** A node service whose workers the test plays: sockets are real, processes are not. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createConnection, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderStore } from '../../../src/actors/folder-store.js';
import { NodeService, type NodeServiceOptions, type OtherBoxes } from '../../../src/actors/node-service.js';
import { type MakeEnvironment, RuntimeEnvs } from '../../../src/actors/runtime-envs.js';
import { openLocalCluster } from '../../../src/cluster/local-cluster.js';
import { createFakeNative, type FakeNative } from '../../../src/native/fake.js';
import { loadNative } from '../../../src/native/load.js';
import type { NativeSegment } from '../../../src/native/types.js';
import { SILENT } from '../../../src/observability/logger.js';
import type { ActorSpec, Block, Join } from '../../../src/protocol/work.js';
import type { LaunchRequest, RankLauncher } from '../../../src/supervisor/launcher.js';
import { ProcessWatcher } from '../../../src/supervisor/process-watcher.js';
import { helloOf } from '../cluster/support.js';
import { demandOf, inline, PlayedClient, until } from './played-client.js';

const real = loadNative();

export interface PlayedWorker {
  readonly client: PlayedClient;
  readonly pid: number;
  readonly request: LaunchRequest;
  readonly alive: boolean;
  join(hello?: Partial<Join>): Promise<void>;
  end(how?: { code: number } | { signal: number }): void;
}

/** The fake addon with real pairs of sockets. The ends that go to workers have fake numbers, which show leaks and double closing. */
export class PairedNative {
  readonly fake = createFakeNative();
  /** Descriptors of this side that were closed by number, not by their socket. */
  readonly closedOurs: number[] = [];
  /** Instead of a socket: no descriptor that can be opened as one. */
  brokenPairs = false;
  /** Killed processes take until the test ends them. */
  lingers = false;
  /** Of slabs, by their number, while none is given back. */
  readonly #segments: NativeSegment[] = [];
  readonly #ours = new Set<number>();
  readonly #theirs = new Map<number, number>();

  readonly native: FakeNative = {
    ...this.fake,
    socketPair: () => {
      const [unused, theirs] = this.fake.socketPair();
      if (this.brokenPairs) return [unused, theirs];
      this.fake.closeFd(unused);
      const [ours, end] = real.socketPair();
      this.#ours.add(ours);
      this.#theirs.set(theirs, end);
      return [ours, theirs];
    },
    segmentCreate: (spec) => {
      const segment = this.fake.segmentCreate(spec);
      this.#segments.push(segment);
      return segment;
    },
    killGroup: (group, signal) => this.lingers || this.fake.killGroup(group, signal),
    closeFd: (fd) => {
      const end = this.#theirs.get(fd);
      if (this.#ours.has(fd)) {
        this.closedOurs.push(fd);
        real.closeFd(fd);
        return;
      }
      this.fake.closeFd(fd);
      this.#theirs.delete(fd);
      if (end !== undefined) real.closeFd(end);
    },
  };

  /** The memory of a block, as clients map it. */
  memory({ slab, offset, size }: Block): Buffer {
    return Buffer.from(this.#segments[slab]?.buffer() ?? new ArrayBuffer(0), offset, size);
  }

  /** As a process inherits it. */
  inherit(fd: number): Socket {
    const end = this.#theirs.get(fd);
    this.#theirs.delete(fd);
    return new Socket({ fd: end ?? -1, readable: true, writable: true });
  }
}

export type KitCluster = NodeServiceOptions['cluster'] & AsyncDisposable;

interface KitOptions {
  readonly spare?: number;
  readonly cpus?: number;
  readonly storeBytes?: number;
  readonly cluster?: KitCluster;
  readonly others?: OtherBoxes;
}

/** Environments that `make` makes, and folders whose zip files are what is in them. */
export function kitEnvs(root: string, make: MakeEnvironment, keepsZips = false): RuntimeEnvs {
  const folders = new FolderStore(
    root,
    async (_python, zip, into) => {
      cpSync(zip, join(into, 'zip'), { recursive: true });
      return statSync(zip).size;
    },
    keepsZips,
  );
  return new RuntimeEnvs(make, folders);
}

export class PlayedLauncher implements RankLauncher {
  readonly workers: PlayedWorker[] = [];
  /** What the next launches reject with. */
  refusal: Error | null = null;
  /** Launches wait for it. */
  gate: Promise<void> = Promise.resolve();
  /** Workers join by themselves. */
  joins = true;
  launches = 0;
  closed = 0;

  constructor(readonly paired: PairedNative) {}

  prepare(): void {}

  async launch(request: LaunchRequest): Promise<{ pid: number; ended: ReturnType<ProcessWatcher['ended']> }> {
    this.launches += 1;
    await this.gate;
    if (this.refusal !== null) throw this.refusal;
    const { native, fake } = this.paired;
    const options = { file: 'x', args: [], env: [], cwd: null, fds: [], parentDeathSignal: false, cpus: null };
    const pid = native.spawn(options);
    const ended = ProcessWatcher.of(native).ended(pid);
    if (this.paired.brokenPairs) return { pid, ended };
    const raw = this.paired.inherit(request.passFd);
    const client = new PlayedClient(raw);
    void ended.then(() => raw.destroy());
    const worker: PlayedWorker = {
      ...{ client, pid, request },
      get alive() {
        return fake.processes.spawned.some((process) => process.pid === pid && process.alive);
      },
      join: (hello = {}) => client.join({ kind: 'worker', pid, path: request.launch.endpoint, ...hello }),
      end: (how = { code: 1 }) => fake.processes.end(pid, how),
    };
    this.workers.push(worker);
    if (this.joins) worker.join().catch(() => {});
    return { pid, ended };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closed += 1;
  }
}

export class NodeKit implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-node-'));
  readonly paired = new PairedNative();
  readonly launcher = new PlayedLauncher(this.paired);
  readonly cluster: KitCluster;
  readonly service: NodeService;
  readonly envs: RuntimeEnvs;
  /** Makes environments. */
  environment: MakeEnvironment = async () => '/made';
  readonly #drivers: PlayedClient[] = [];
  #actors = 0;

  private constructor({ spare = 0, cpus = 4, storeBytes = 2 ** 20, cluster, others }: KitOptions) {
    this.cluster =
      cluster ?? openLocalCluster({ hello: helloOf('n0', { total: { CPU: cpus, GPU: 2 }, devices: DEVICES }) });
    mkdirSync(join(this.folder, 's'));
    mkdirSync(join(this.folder, 'spill'));
    this.envs = kitEnvs(
      join(this.folder, 'code'),
      async (wanted, told, signal) => await this.environment(wanted, told, signal),
      others !== undefined,
    );
    this.service = new NodeService({
      ...{ native: this.paired.native, cluster: this.cluster, log: SILENT, node: 'n0', instance: 'kit' },
      ...{ socketFolder: join(this.folder, 's'), logFolder: this.folder, storeBytes, spareWorkers: spare },
      spillFolder: join(this.folder, 'spill'),
      envs: this.envs,
      ...(others === undefined ? {} : { others }),
      launcher: () => this.launcher,
      indexOf: ({ instance }) => String(instance),
      mayMask: () => true,
    });
  }

  static async open(options: KitOptions = {}): Promise<NodeKit> {
    const kit = new NodeKit(options);
    await kit.service.listen(kit.socket);
    return kit;
  }

  get socket(): string {
    return join(this.folder, 'work.sock');
  }

  get workers(): readonly PlayedWorker[] {
    return this.launcher.workers;
  }

  /** A connection that has not joined. */
  connect(): PlayedClient {
    const client = new PlayedClient(createConnection(this.socket));
    this.#drivers.push(client);
    return client;
  }

  async driver(hello: Partial<Join> = {}): Promise<PlayedClient> {
    const client = this.connect();
    await client.join(hello);
    return client;
  }

  /** The worker of that number, once it is there. */
  async worker(at: number): Promise<PlayedWorker> {
    await until(() => this.workers[at] !== undefined, `worker ${at} is started`);
    return this.workers[at] as PlayedWorker;
  }

  /** An actor of that client with one CPU, watched; its id. */
  async actor(creator: PlayedClient, more: Partial<ActorSpec> = {}): Promise<string> {
    const spec = this.spec(creator, more);
    await creator.ask('actor.create', spec);
    creator.tell('actor.watch', { id: spec.id });
    return spec.id;
  }

  spec(creator: PlayedClient, more: Partial<ActorSpec> = {}): ActorSpec {
    this.#actors += 1;
    return {
      ...{ id: `${creator.id}.a${this.#actors}`, cls: 'k', cls_name: 'Cls', methods: {}, args: inline(0), name: '' },
      ...{ namespace: 'default', detached: false, get_if_exists: false, max_restarts: 0, max_task_retries: 0 },
      ...{ max_concurrency: 1, groups: {}, demand: demandOf(), ...more },
    };
  }

  /** What is free now. */
  async free(resource = 'CPU'): Promise<number> {
    const { nodes } = await this.cluster.snapshot();
    return nodes[0]?.available[resource] ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const driver of this.#drivers) driver.leave();
    await this.service[Symbol.asyncDispose]();
    await this.cluster[Symbol.asyncDispose]();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const DEVICES = { GPU: { ids: ['uuid-a', 'uuid-b'], numa: [0, 1], links: [] } };
