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
import { DEFAULT_TIMERS, type GroupSpec } from './types.js';

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
  /** Their lease ended here; what ran in them may still be ending, so the head must not give their devices away before `remove`. */
  readonly #forsaken = new Set<string>();
  #timer: NodeJS.Timeout | null = null;
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
      body: (): ClientHello => ({ groups: [...cluster.#groups.keys(), ...cluster.#forsaken] }),
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
    return this.#know(await this.#call('group.create', { spec }));
  }

  /** The living group of that name. Throws `GROUP_NOT_FOUND`. */
  async findGroup(name: string, namespace: string): Promise<Group> {
    const status = await this.#call('group.find', { name, namespace });
    return this.#groups.get(status.id)?.group ?? this.#know(status);
  }

  /** Remove any group, whoever made it. Throws `GROUP_NOT_FOUND`. */
  async removeGroup(id: string): Promise<void> {
    await this.#call('group.remove', { id });
  }

  snapshot(): Promise<ClusterSnapshot> {
    return this.#call('cluster.snapshot', null);
  }

  onConnection(listener: (connected: boolean) => void): () => void {
    return this.#events.on('connection', listener);
  }

  /** Leave: groups that are not detached are removed by the head. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#groups.clear();
    await this.#connection?.close('the client ends');
  }

  #call<M extends keyof ClientCalls>(method: M, params: ClientCalls[M]['params']): Promise<ClientCalls[M]['result']> {
    if (this.#connection === null) return Promise.reject(new TwinkleError('HEAD_UNREACHABLE', 'not joined yet'));
    return this.#connection.call<ClientCalls[M]['result']>(method, params);
  }

  #know(first: GroupStatus): Group {
    const { id } = first;
    const known: Known = {
      status: first,
      group: new LocalGroup(id, {
        status: () => known.status,
        explain: () => this.#call('group.explain', { id }),
        remove: () => this.#remove(id),
      }),
    };
    // A lease that was refused is over already, and nothing more is heard of it.
    if (first.state === 'REMOVED') return known.group;
    this.#groups.set(id, known);
    this.#guard();
    return known.group;
  }

  async #remove(id: string): Promise<void> {
    this.#forsaken.delete(id);
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
    if (state === 'connected') this.#welcomed(connection.welcome.body as HeadWelcome);
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

  /** A lease runs from the moment when the head was last heard, whether or not the connection seems to stand. */
  #guard(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const now = performance.now();
    const heard = this.#connection?.lastHeardMs ?? now;
    let next = Number.POSITIVE_INFINITY;
    for (const [id, { status }] of [...this.#groups]) {
      const leaseMs = status.hold === 'serving' ? this.#timers.graceMs : this.#timers.fencingMs;
      if (now < heard + leaseMs) {
        next = Math.min(next, heard + leaseMs);
        continue;
      }
      this.#forsaken.add(id);
      this.#update(lost(status, `the head has been silent for ${leaseMs / 1000} s: the lease is over`));
    }
    if (next < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#guard(), Math.max(1, next - now));
  }
}

function lost(status: GroupStatus, reason: string): GroupStatus {
  return { ...status, state: 'REMOVED', scheduling: 'REMOVED', reason, position: null };
}
