/**
 * A head and other boxes whose workers and clients the test plays. Between them are real peers without a socket, whose messages the test can
 * hold back, and real doors.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BoxService } from '../../../src/actors/boxes/box-service.js';
import { Boxes } from '../../../src/actors/boxes/boxes.js';
import { doorService } from '../../../src/actors/boxes/door-service.js';
import type { BoxWelcome, HeadAsks, HeadTells, Link } from '../../../src/actors/boxes/words.js';
import type { OtherBoxes } from '../../../src/actors/node-service.js';
import { INLINE_BYTES } from '../../../src/actors/node-service.js';
import { HeadAgents } from '../../../src/cluster/head-agents.js';
import type { JournaledLedger } from '../../../src/cluster/journaled-ledger.js';
import { LedgerCluster } from '../../../src/cluster/ledger-cluster.js';
import { ReservationTable } from '../../../src/cluster/reservation-table.js';
import type { NodeHello } from '../../../src/cluster/types.js';
import { helloToSpec } from '../../../src/cluster/wire.js';
import { TwinkleError } from '../../../src/errors.js';
import { SILENT } from '../../../src/observability/logger.js';
import {
  type ActorSpec,
  type Block,
  type Join,
  type Lease,
  type Opened,
  WORK_PROTOCOL,
} from '../../../src/protocol/work.js';
import { type Door, openDoor } from '../../../src/transport/door.js';
import { Peer } from '../../../src/transport/peer.js';
import { decodePeerFrame, encodePeerFrame, type Hello } from '../../../src/transport/peer-frames.js';
import { type Deferred, deferred } from '../../../src/util/deferred.js';
import { helloOf, LedgerKit } from '../cluster/support.js';
import { kitEnvs, NodeKit, PairedNative, PlayedLauncher, type PlayedWorker } from './node-kit.js';
import { demandOf, PlayedClient, until } from './played-client.js';
import { largeValue } from './spilling-kit.js';

export const SIZE = 256 * 1024;
const HOST = '127.0.0.1';

/** Messages of one direction, in their order, each in a turn of its own. */
class Way {
  /** They wait for `flow`. */
  held = false;
  /** Frames that have come, by method. */
  readonly methods: string[] = [];
  #waiting: Buffer[][] = [];

  constructor(private readonly to: () => Peer) {}

  post(parts: Buffer[]): void {
    for (const part of parts) {
      const frame = decodePeerFrame(part);
      if (frame.t === 'call' || frame.t === 'cast') this.methods.push(frame.method);
    }
    this.#waiting.push(parts);
    if (!this.held) setImmediate(() => this.#deliver());
  }

  /** What waits comes in one message. */
  flow(): void {
    this.held = false;
    this.#waiting = [this.#waiting.flat()];
    this.#deliver();
  }

  #deliver(): void {
    if (this.held) return;
    for (const parts of this.#waiting.splice(0)) this.to().take(parts, 0);
  }
}

export interface BoxOptions {
  readonly cpus?: number;
  readonly spare?: number;
  readonly storeBytes?: number;
  /** Client numbers that it has. */
  readonly numbers?: number;
}

/** A box that has joined. */
export class PlayedBox {
  readonly folder = mkdtempSync(join(tmpdir(), 'twinkle-far-'));
  readonly paired = new PairedNative();
  readonly launcher = new PlayedLauncher(this.paired);
  readonly toHead = new Way(() => this.headPeer);
  readonly fromHead = new Way(() => this.peer);
  readonly #drivers: PlayedClient[] = [];
  readonly #gates: Deferred<void>[] = [];
  readonly #hello: Hello;
  readonly #options: BoxOptions;
  readonly #door: Door;
  /** This side's. */
  readonly peer: Peer;
  readonly headPeer: Peer;
  #service: BoxService | null = null;

  private constructor(
    readonly id: string,
    door: Door,
    key: Buffer,
    options: BoxOptions,
  ) {
    this.#door = door;
    this.#options = options;
    const hello = helloOf(id, { total: { CPU: options.cpus ?? 4 }, incarnation: randomBytes(4).toString('hex') });
    const talk = { protocol: WORK_PROTOCOL, door: { host: HOST, port: door.port, key } };
    this.#hello = decoded({
      ...{ t: 'hello', protocol: 1, role: 'agent', session: `${id}-${hello.incarnation}`, pid: 1, pid_start: '1' },
      body: { ...hello, talk },
    } as Hello);
    const ended = (): void => {};
    const wires = [this.toHead, this.fromHead].map((way) => ({
      post: (_: Peer, parts: Buffer[]) => way.post(parts),
      ended,
    }));
    const [wireToHead, wireFromHead] = wires as [(typeof wires)[0], (typeof wires)[0]];
    this.peer = new Peer({ hello: this.#hello, wire: wireToHead, lostCode: 'HEAD_UNREACHABLE' });
    this.headPeer = new Peer({ hello: this.#hello, wire: wireFromHead, lostCode: 'CHANNEL_CLOSED' });
  }

  static async join(kit: BoxesKit, id: string, options: BoxOptions): Promise<PlayedBox> {
    const key = randomBytes(32);
    let box: PlayedBox | null = null;
    const serve = doorService({
      get workerFolder() {
        return join(box?.folder ?? '', 's');
      },
      object: async (object) => await (box as PlayedBox).service.objects.takeOut(object),
      folder: async () => {
        throw new TwinkleError('RUNTIME_ENV', 'folders are with the head');
      },
    });
    box = new PlayedBox(id, await openDoor({ host: HOST, key, serve }), key, options);
    await box.#enter(kit);
    return box;
  }

  get service(): BoxService {
    if (this.#service === null) throw new TwinkleError('DRAINING', 'it has not begun');
    return this.#service;
  }

  get workers(): readonly PlayedWorker[] {
    return this.launcher.workers;
  }

  async worker(at: number): Promise<PlayedWorker> {
    await until(() => this.workers[at] !== undefined, `worker ${at} of ${this.id} is started`);
    return this.workers[at] as PlayedWorker;
  }

  connect(): PlayedClient {
    const client = new PlayedClient(createConnection(join(this.folder, 'work.sock')));
    this.#drivers.push(client);
    return client;
  }

  async driver(hello: Partial<Join> = {}): Promise<PlayedClient> {
    const client = this.connect();
    await client.join(hello);
    return client;
  }

  /** Workers that are to be started there wait for it. */
  hold(): Deferred<void> {
    const gate = deferred<void>();
    this.launcher.gate = gate.promise;
    this.#gates.push(gate);
    return gate;
  }

  /** The connection ends, and with it what runs here: as after `kill -9`. */
  async lose(): Promise<void> {
    this.headPeer.end({ cause: 'gone', reason: 'its socket ended' });
    this.peer.end({ cause: 'gone', reason: 'its socket ended' });
    await this.#end();
  }

  /** It leaves. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    this.peer.close('it leaves');
  }

  async #enter(kit: BoxesKit): Promise<void> {
    for (const name of ['s', 'spill']) mkdirSync(join(this.folder, name));
    const { talk } = kit.agents.admit(this.#hello, true);
    const welcome = { ...(decoded({ t: 'welcome', protocol: 1, head: 'h', body: talk }).body as BoxWelcome) };
    const { spare = 0, storeBytes = 2 ** 20, numbers = welcome.numbers } = this.#options;
    this.#service = new BoxService({
      ...{ native: this.paired.native, log: SILENT, node: this.id, instance: `box-${this.id}`, storeBytes },
      ...{ welcome: { ...welcome, numbers }, link: this.peer, socketFolder: join(this.folder, 's') },
      ...{ logFolder: this.folder, spillFolder: join(this.folder, 'spill'), spareWorkers: spare },
      envs: kitEnvs(join(this.folder, 'code'), async () => '/made'),
      launcher: () => this.launcher,
      indexOf: ({ instance }) => String(instance),
      mayMask: () => true,
    });
    this.peer.serve({
      call: (method, params) => this.service.answer(method, params),
      cast: (method, params) => this.#service?.heard(method, params),
    });
    this.headPeer.serve(kit.agents.handlers(this.headPeer));
    kit.seat(this.id, this.#hello.body as NodeHello);
    kit.agents.joined(this.headPeer, true);
    await this.service.listen(join(this.folder, 'work.sock'));
  }

  async #end(): Promise<void> {
    for (const driver of this.#drivers) driver.leave();
    for (const gate of this.#gates) gate.resolve();
    await this.#service?.[Symbol.asyncDispose]();
    this.#service = null;
    await this.#door.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Something that keeps objects in memory: the head's kit, or a box. */
interface Keeper {
  readonly paired: PairedNative;
}

export class BoxesKit implements AsyncDisposable {
  readonly ledger = new LedgerKit();
  readonly agents = new HeadAgents({ talk: this.#talk(), log: SILENT, watch: () => null });
  head!: NodeKit;
  boxes!: Boxes;
  /** Changes of groups are told when the journal has them: not before this is resolved. */
  journal: Promise<void> = Promise.resolve();
  readonly #played = new Set<PlayedBox>();
  readonly #cluster: LedgerCluster;
  readonly #core: Pick<JournaledLedger, 'state' | 'enter'>;
  #door: Door | null = null;

  private constructor() {
    const { ledger } = this.ledger;
    this.#core = {
      state: ledger,
      enter: (act) => {
        const result = act(ledger);
        const events = this.ledger.events.splice(0);
        const { journal } = this;
        setImmediate(() => void journal.then(() => this.#cluster.heard(events)));
        return result;
      },
    };
    this.#cluster = new LedgerCluster({ core: this.#core, cluster: 'c', owner: 'me' });
    this.agents.open(this.#core as JournaledLedger, 'n0');
  }

  /** @param cpus of the head */
  static async open({ cpus = 2, spare = 0 }: BoxOptions = {}): Promise<BoxesKit> {
    const kit = new BoxesKit();
    kit.ledger.join(helloOf('n0', { total: { CPU: cpus } }));
    const others: OtherBoxes = {
      reach: (node, path) => kit.boxes.reach(node, path),
      jobEnded: (driver) => kit.boxes.jobEnded(driver),
      workerEnded: (path) => kit.boxes.workerEnded(path),
    };
    kit.head = await NodeKit.open({ cluster: kit.#cluster, others, spare });
    const { service, folder } = kit.head;
    const key = randomBytes(32);
    const serve = doorService({
      workerFolder: join(folder, 's'),
      object: (id) => service.objects.takeOut(id),
      folder: async (one) => kit.folderPath(one),
    });
    kit.#door = await openDoor({ host: HOST, key, serve });
    kit.boxes = new Boxes({
      ...{ service, node: 'n0', instance: 'kit', inlineBytes: INLINE_BYTES, log: SILENT },
      ...{ door: { host: HOST, port: kit.#door.port, key }, socketFolder: join(folder, 's') },
    });
    return kit;
  }

  /** Path of a folder's zip, at the head. */
  folderPath: (key: string) => string = (key) => this.head.envs.folders.zip(key);

  /** Another box joins. */
  async join(id: string, options: BoxOptions = {}): Promise<PlayedBox> {
    const box = await PlayedBox.join(this, id, options);
    this.#played.add(box);
    return box;
  }

  /** Its reservations are obeyed from now on. */
  seat(id: string, hello: NodeHello): void {
    const { incarnation } = hello;
    this.ledger.agents.set(id, { incarnation, table: new ReservationTable(helloToSpec(hello)) });
  }

  /** A lease at that node. */
  async lease(client: PlayedClient, node: string, number?: number): Promise<Lease> {
    return (await client.ask('lease', this.at(node), [], number)).value as Lease;
  }

  /** A demand of one CPU there. */
  at(node: string, soft = false) {
    return demandOf({ CPU: 1 }, { strategy: 'node', node, soft });
  }

  /** An actor at that node, watched; its id. */
  async actor(creator: PlayedClient, node: string, more: Partial<ActorSpec> = {}, soft = false): Promise<string> {
    return await this.head.actor(creator, { demand: this.at(node, soft), ...more });
  }

  async free(node: string): Promise<number> {
    const { nodes } = await this.#cluster.snapshot();
    return nodes.find(({ id }) => id === node)?.available.CPU ?? 0;
  }

  /** Everything that was said before has been heard, at both ends and by the ledger. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < 12; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const box of this.#played) await box[Symbol.asyncDispose]();
    await this.boxes[Symbol.asyncDispose]();
    await this.#door?.close();
    await this.head[Symbol.asyncDispose]();
  }

  #talk() {
    return {
      welcome: (node: string, talk: unknown) => this.boxes.welcome(node, talk),
      joined: (node: string, { talk }: { talk?: unknown }, peer: Pick<Peer, 'call' | 'cast'>) =>
        this.boxes.joined(node, talk, peer as Link<HeadAsks, HeadTells>),
      call: (node: string, method: string, params: unknown) => this.boxes.call(node, method, params),
      cast: (node: string, method: string, params: unknown) => this.boxes.cast(node, method, params),
      left: (node: string, why: string) => this.boxes.left(node, why),
    };
  }
}

/** A large object of which the letter is all there is, held by these. */
export async function put(
  at: Keeper,
  client: PlayedClient,
  id: string,
  letter = 'a',
  holders = [client.id],
  bytes = SIZE,
): Promise<void> {
  const { value: block } = await client.ask('object.reserve', { id, bytes });
  at.paired.memory(block as Block).fill(letter);
  await client.ask('object.seal', { id, value: largeValue(id, bytes), holders });
}

/** The letter that an object is, opened by that client. */
export async function read(at: Keeper, client: PlayedClient, id: string, number?: number): Promise<string> {
  const { value } = await client.ask('object.open', { ids: [id] }, [], number);
  const { block } = (value as Opened[])[0] as Opened;
  if (block === null) throw new Error(`object ${id} is not in memory`);
  const memory = at.paired.memory(block);
  const [first = 0] = memory;
  return memory.equals(Buffer.alloc(memory.length, first)) ? String.fromCharCode(first) : 'a mixture';
}

function decoded<T extends Hello | { readonly t: 'welcome' }>(frame: T): T & { readonly body: unknown } {
  return decodePeerFrame(encodePeerFrame(frame as never)) as unknown as T & { readonly body: unknown };
}
