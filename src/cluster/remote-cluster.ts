/**
 * A cluster behind a head in another process. Groups go on while the head is away, for as long as their hold allows: a group whose lease is
 * over is REMOVED here, also when the head cannot say so; its user stops what ran in it and removes it, which the head learns when it answers.
 */
import { TwinkleError } from '../errors.js';
import { connectPeer, type PeerConnection } from '../transport/peer-client.js';
import { Emitter } from '../util/emitter.js';
import type { Cluster, ClusterSnapshot, Group, GroupStatus } from './api.js';
import type { ClientCalls, ClientHello, HeadWelcome } from './client-protocol.js';
import { LocalGroup } from './local-group.js';
import { DEFAULT_TIMERS, type GroupSpec, type Hold } from './types.js';

export interface RemoteClusterOptions {
  /** Of the head: `ipc://…`. */
  readonly address: string;
  /** `sessionId` of this process. */
  readonly session: string;
  /** ms until a head must have answered. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

interface Known {
  status: GroupStatus;
  readonly group: LocalGroup;
}

export class RemoteCluster implements Cluster {
  readonly kind = 'head';
  readonly #events = new Emitter<{ connection(connected: boolean): void }>();
  readonly #groups = new Map<string, Known>();
  /** Removed while the head was away: it has to learn it. */
  readonly #unsaid = new Set<string>();
  readonly #leases = new Map<string, NodeJS.Timeout>();
  #connection: PeerConnection | null = null;
  #timers = DEFAULT_TIMERS;

  private constructor() {}

  /**
   * Join the head.
   * @throws `HEAD_UNREACHABLE` when nobody answers in time, or the head's refusal
   */
  static async join(options: RemoteClusterOptions): Promise<RemoteCluster> {
    const { address, session, timeoutMs, signal } = options;
    const cluster = new RemoteCluster();
    const connection = await connectPeer({
      address,
      role: 'client',
      session,
      body: (): ClientHello => ({ groups: [...cluster.#groups.keys()] }),
      handlers: {
        call: (method) => {
          throw new TwinkleError('PROTOCOL', `a head may not call \`${method}\``);
        },
        cast: (method, params) => {
          if (method !== 'group') return; // of a later version
          const status = params as GroupStatus;
          cluster.#update(status);
        },
      },
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
    cluster.#connection = connection;
    cluster.#welcomed(connection.welcome.body as HeadWelcome);
    connection.onState((state) => cluster.#changed(state));
    return cluster;
  }

  /** Whether the head is heard. */
  get connected(): boolean {
    return this.#connection?.state === 'connected';
  }

  async createGroup(spec: GroupSpec): Promise<Group> {
    const first = await this.#call('group.create', { spec });
    const { id } = first;
    const known: Known = {
      status: first,
      group: new LocalGroup(id, {
        status: () => known.status,
        explain: () => this.#call('group.explain', { id }),
        remove: () => this.#remove(id),
      }),
    };
    this.#groups.set(id, known);
    return known.group;
  }

  snapshot(): Promise<ClusterSnapshot> {
    return this.#call('cluster.snapshot', null);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.#events.on('connection', listener);
  }

  /** Leave: groups that are not detached are removed by the head. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#leases.values()) clearTimeout(timer);
    this.#leases.clear();
    await this.#connection?.close('the client ends');
  }

  #call<M extends keyof ClientCalls>(method: M, params: ClientCalls[M]['params']): Promise<ClientCalls[M]['result']> {
    if (this.#connection === null) return Promise.reject(new TwinkleError('HEAD_UNREACHABLE', 'not joined yet'));
    return this.#connection.call<ClientCalls[M]['result']>(method, params);
  }

  async #remove(id: string): Promise<void> {
    this.#unsaid.add(id);
    try {
      await this.#call('group.remove', { id });
      this.#unsaid.delete(id);
    } catch (error) {
      if (!(error instanceof TwinkleError)) throw error;
      if (error.code === 'GROUP_NOT_FOUND') this.#unsaid.delete(id);
      else if (error.code !== 'HEAD_UNREACHABLE') throw error;
      // Without a head it is said when one answers; if none ever does, nobody else can want the devices.
    }
  }

  #update(status: GroupStatus): void {
    const known = this.#groups.get(status.id);
    if (known === undefined) return;
    if (status.state === 'REMOVED') this.#groups.delete(status.id);
    known.status = status;
    known.group.changed();
  }

  #changed(state: PeerConnection['state']): void {
    const connection = this.#connection;
    if (connection === null) return;
    if (state === 'disconnected') {
      for (const [id, { status }] of this.#groups) this.#arm(id, status.hold);
    } else {
      for (const timer of this.#leases.values()) clearTimeout(timer);
      this.#leases.clear();
      this.#welcomed(connection.welcome.body as HeadWelcome);
    }
    this.#events.emit('connection', state === 'connected');
  }

  /** How the groups are that were named in the hello; the head knows no other of ours. */
  #welcomed(welcome: HeadWelcome): void {
    this.#timers = welcome.timers;
    const known = new Map(welcome.groups.map((status) => [status.id, status]));
    for (const [id, { status }] of [...this.#groups]) {
      this.#update(known.get(id) ?? lost(status, 'the head does not know this group any more'));
    }
    for (const id of this.#unsaid) void this.#remove(id);
  }

  /** The lease of a group runs from the moment when the head was last heard. */
  #arm(id: string, hold: Hold): void {
    const leaseMs = hold === 'serving' ? this.#timers.graceMs : this.#timers.fencingMs;
    const silentMs = performance.now() - (this.#connection?.lastHeardMs ?? performance.now());
    const timer = setTimeout(
      () => {
        this.#leases.delete(id);
        const known = this.#groups.get(id);
        if (known === undefined) return;
        this.#update(lost(known.status, `the head has been silent for ${leaseMs / 1000} s: the lease is over`));
      },
      Math.max(0, leaseMs - silentMs),
    );
    this.#leases.set(id, timer);
  }
}

function lost(status: GroupStatus, reason: string): GroupStatus {
  return { ...status, state: 'REMOVED', scheduling: 'REMOVED', reason, position: null };
}
