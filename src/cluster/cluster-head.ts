/**
 * The head of a cluster: the journaled ledger behind a peer hub. Agents bring nodes, clients make groups. A client is answered, and told of
 * changes, only after the journal has them. Knows no processes: who watches pids is given.
 */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { Peer, PeerHandlers } from '../transport/peer.js';
import type { Hello } from '../transport/peer-frames.js';
import { openPeerHub, type PeerHub, type PeerHubOptions } from '../transport/peer-hub.js';
import type { ClusterSnapshot, GroupStatus } from './api.js';
import type { AgentTalk, ClientHello, HeadWelcome } from './client-protocol.js';
import { readGroupSpec } from './group-spec.js';
import { HeadAgents } from './head-agents.js';
import type { JournaledLedger } from './journaled-ledger.js';
import { LazyCommits } from './lazy-commits.js';
import { Owners } from './owners.js';
import { groupStatus, snapshotOf } from './status-view.js';
import type { ClusterTimers, LedgerEvent, ToAgentBatch } from './types.js';

export interface ClusterHeadOptions {
  /** `ipc://…` in a 0700 folder. */
  readonly address: string;
  /** Id of the cluster. */
  readonly cluster: string;
  readonly timers: ClusterTimers;
  readonly log: Logger;
  /** Resolves when the process of that session is gone; null when it cannot be seen from here. Never asked of who came from outside. */
  watch(session: string): Promise<void> | null;
  /** Where other boxes join as well. Absent or null: nobody but this box may. */
  readonly outside?: OutsideDoor | null;
  /** Absent or null: agents talk of nothing but reservations. */
  readonly talk?: AgentTalk | null;
}

/** A hub for other boxes. */
export interface OutsideDoor {
  /** `tcp://HOST:PORT`; port `*`: any free one. */
  readonly address: string;
  readonly curve: NonNullable<PeerHubOptions['curve']>;
}

/** Agents and clients of a ledger. Made before the ledger, since the ledger sends through it; `open` begins to listen. */
export class ClusterHead {
  readonly #options: ClusterHeadOptions;
  readonly #agents: HeadAgents;
  readonly #clients = new Map<string, Peer>();
  /** Group → sessions that are told of its changes: who made it, found it, or named it in a hello. */
  readonly #interest = new Map<string, Set<string>>();
  readonly #owners: Owners;
  readonly #commits = new LazyCommits((node, batch) => this.#agents.send(node, batch));
  readonly #hubs: PeerHub[] = [];
  #core: JournaledLedger | null = null;
  #outside: PeerHub | null = null;

  constructor(options: ClusterHeadOptions) {
    this.#options = options;
    this.#agents = new HeadAgents({
      talk: options.talk ?? null,
      log: options.log,
      watch: (session) => options.watch(session),
    });
    const { graceMs, deadMs } = options.timers;
    this.#owners = new Owners({
      // Its own clock ends its groups after the grace; ours must not be first.
      graceMs: graceMs + deadMs,
      watch: (session) => (session.startsWith(FAR) ? null : options.watch(session)),
      gone: (session, why) => {
        options.log.info({ session, why }, 'owner_gone');
        this.#clients.delete(session);
        for (const interested of this.#interest.values()) interested.delete(session);
        this.#ledger.enter((ledger) => ledger.ownerGone(session));
      },
    });
  }

  /** For {@link JournaledLedger}: to the agent of a node, if it is connected. */
  send(node: string, batch: ToAgentBatch): void {
    this.#commits.send(node, batch);
  }

  /** For {@link JournaledLedger}: tells those who use a group how it is now; what it went through meanwhile is only logged. */
  tell(events: readonly LedgerEvent[]): void {
    const { log } = this.#options;
    const changed = new Set<string>();
    for (const event of events) {
      if (event.e === 'node') {
        log.info(event, 'ledger_node');
        if (event.state === 'dead') this.#agents.dismiss(event.id);
      } else {
        log.debug(event, 'ledger_group');
        changed.add(event.id);
      }
    }
    for (const id of changed) {
      const interested = this.#interest.get(id);
      if (interested === undefined) continue;
      const status = groupStatus(this.#ledger.state, id);
      if (status === null) {
        this.#interest.delete(id); // removed, and forgotten among many others
        continue;
      }
      for (const session of interested) this.#clients.get(session)?.cast('group', status);
      if (status.state === 'REMOVED') this.#interest.delete(id);
    }
  }

  /**
   * Listen. Owners of the journal's groups are watched from now on.
   * @param ownNode id of the head's own node; null: it has none
   * @throws `PORT_IN_USE`, or what the system says; then nothing listens
   */
  async open(core: JournaledLedger, ownNode: string | null = null): Promise<void> {
    const { address, outside } = this.#options;
    this.#core = core;
    this.#agents.open(core, ownNode);
    for (const { owner } of core.state.groups()) if (owner !== null) this.#owners.here(owner, false);
    try {
      // First what may be refused: a socket of ipc stays behind as a file.
      if (outside !== undefined && outside !== null) {
        this.#outside = await openOutside({ ...this.#hubOf(true), ...outside });
        this.#hubs.push(this.#outside);
      }
      this.#hubs.push(await openPeerHub({ ...this.#hubOf(false), address }));
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Where other boxes join, `tcp://HOST:PORT`; null: nowhere. */
  get outside(): string | null {
    return this.#outside?.endpoint ?? null;
  }

  snapshot(): ClusterSnapshot {
    return snapshotOf(this.#ledger.state, this.#options.cluster);
  }

  async close(): Promise<void> {
    this.#owners.close();
    this.#commits.flush();
    this.#agents.close();
    for (const hub of this.#hubs) await hub.close();
  }

  get #ledger(): JournaledLedger {
    if (this.#core === null) throw new Error('the head is not open');
    return this.#core;
  }

  #hubOf(outside: boolean): Pick<PeerHubOptions, 'accept' | 'onPeer' | 'handlers'> {
    return {
      accept: (hello) => this.#accept(hello, outside),
      onPeer: (peer) => (isAgent(peer.hello) ? this.#agents.joined(peer, outside) : this.#joined(peer, outside)),
      handlers: (peer) => (isAgent(peer.hello) ? this.#agents.handlers(peer) : this.#clientHandlers(peer, outside)),
    };
  }

  #accept(hello: Hello, outside: boolean): HeadWelcome {
    const { cluster, timers } = this.#options;
    const { epoch } = this.#ledger.state;
    if (isAgent(hello)) return { cluster, epoch, timers, groups: [], ...this.#agents.admit(hello, outside) };
    if (hello.role !== 'client') {
      throw new TwinkleError('PROTOCOL', `expected role agent or client but received ${JSON.stringify(hello.role)}`);
    }
    const named = (hello.body as Partial<ClientHello> | null)?.groups ?? [];
    const mine = named.flatMap((id) => {
      const group = this.#ledger.state.group(id);
      // What was refused while it was away, it must hear why.
      const gone = group === null || (group.state === 'REMOVED' && group.scheduling !== 'UNSCHEDULABLE');
      return gone ? [] : [this.#statusFor(sessionOf(hello, outside), id)];
    });
    return { cluster, epoch, timers, groups: mine };
  }

  #joined(peer: Peer, outside: boolean): void {
    const session = sessionOf(peer.hello, outside);
    this.#clients.set(session, peer);
    this.#owners.here(session, true);
    this.#dropUnnamed(session, peer.hello.body as Partial<ClientHello> | null);
    peer.onClose(({ cause }) => {
      if (this.#clients.get(session) !== peer) return; // it has joined again
      this.#clients.delete(session);
      if (cause === 'bye') this.#owners.left(session);
      else this.#owners.silent(session);
    });
  }

  /** Groups whose creation the client was never told of, because the connection broke meanwhile: nobody would ever remove them. */
  #dropUnnamed(session: string, hello: Partial<ClientHello> | null): void {
    const named = new Set(hello?.groups ?? []);
    const unnamed = [...this.#ledger.state.groups(0)].filter(({ id, owner }) => owner === session && !named.has(id));
    if (unnamed.length === 0) return;
    this.#ledger.enter((ledger) => {
      for (const { id } of unnamed) ledger.removeGroup(id);
    });
  }

  #clientHandlers(peer: Peer, outside: boolean): PeerHandlers {
    const session = sessionOf(peer.hello, outside);
    return {
      call: (method, params) => this.#call(session, method, (params ?? {}) as Record<string, unknown>),
      cast: (method) => {
        throw new TwinkleError('PROTOCOL', `a client may not cast \`${method}\``);
      },
    };
  }

  async #call(session: string, method: string, params: Record<string, unknown>): Promise<unknown> {
    const core = this.#ledger;
    switch (method) {
      case 'group.create': {
        const spec = readGroupSpec(params.spec);
        const owner = spec.lifetime === 'detached' ? null : session;
        const id = core.enter((ledger) => ledger.createGroup(spec, owner));
        await this.#durable(() => core.enter((ledger) => ledger.removeGroup(id)));
        // Interested only from here on: the answer tells what happened until now.
        return this.#statusFor(session, id);
      }
      case 'group.find': {
        const group = core.state.findGroup(String(params.name), String(params.namespace));
        if (group === null) {
          throw new TwinkleError(
            'GROUP_NOT_FOUND',
            `no placement group "${String(params.name)}" in namespace "${String(params.namespace)}"`,
          );
        }
        return this.#statusFor(session, group.id);
      }
      case 'group.explain':
        return core.state.explain(String(params.id));
      case 'group.remove':
        core.enter((ledger) => ledger.removeGroup(String(params.id)));
        await this.#durable(() => {});
        return null;
      case 'cluster.snapshot':
        return this.snapshot();
      default:
        throw new TwinkleError('PROTOCOL', `a head has no method \`${method}\``);
    }
  }

  /** Wait for the journal; what cannot be written now must not be acknowledged. @param undo when it cannot */
  async #durable(undo: () => void): Promise<void> {
    try {
      await this.#ledger.flushed();
    } catch (error) {
      undo();
      const why = error instanceof Error ? error.message : String(error);
      throw new TwinkleError('JOURNAL_FAILED', `the head cannot write its journal (${why}): make room, and try again`);
    }
  }

  /** The group, and from now on its changes for that session, if there can be any. */
  #statusFor(session: string, id: string): GroupStatus {
    const status = this.#status(id);
    if (status.state === 'REMOVED') return status;
    const interested = this.#interest.get(id) ?? new Set();
    this.#interest.set(id, interested.add(session));
    return status;
  }

  #status(id: string): GroupStatus {
    const status = groupStatus(this.#ledger.state, id);
    if (status === null) throw new TwinkleError('GROUP_NOT_FOUND', `no placement group ${id}`);
    return status;
  }
}

/** @throws `PORT_IN_USE`, `CONFIG_INVALID` */
async function openOutside(options: PeerHubOptions): Promise<PeerHub> {
  try {
    return await openPeerHub(options);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const where = `\`${options.address.replace('tcp://', '')}\``;
    if (code === 'EADDRINUSE') {
      throw new TwinkleError('PORT_IN_USE', `another process listens at ${where}: take another port`, { cause: error });
    }
    if (code === 'EADDRNOTAVAIL' || code === 'ENODEV') {
      throw new TwinkleError('CONFIG_INVALID', `${where} is no address of this box`, { cause: error });
    }
    if (code !== 'EACCES') throw error;
    throw new TwinkleError('CONFIG_INVALID', `this user may not listen at ${where}: take a port from 1024`, {
      cause: error,
    });
  }
}

function isAgent({ role }: Hello): boolean {
  return role === 'agent';
}

/** How sessions of other boxes begin here, and in the journal: they name processes, which a restarted head must not look for either. */
const FAR = 'far-';

function sessionOf({ session }: Hello, outside: boolean): string {
  return outside ? FAR + session : session;
}
