/**
 * The head of a cluster: the journaled ledger behind a peer hub. Agents bring nodes, clients make groups. A client is answered, and told of
 * changes, only after the journal has them. Knows no processes: who watches pids is given.
 */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { Peer, PeerHandlers } from '../transport/peer.js';
import type { Hello } from '../transport/peer-frames.js';
import { openPeerHub, type PeerHub } from '../transport/peer-hub.js';
import type { ClusterSnapshot, GroupStatus } from './api.js';
import type { AgentHello, ClientHello, HeadWelcome } from './client-protocol.js';
import { readGroupSpec } from './group-spec.js';
import type { JournaledLedger } from './journaled-ledger.js';
import { LazyCommits } from './lazy-commits.js';
import { Owners } from './owners.js';
import { groupStatus, snapshotOf } from './status-view.js';
import type { ClusterTimers, FromAgentBatch, LedgerEvent, ToAgentBatch } from './types.js';

export interface ClusterHeadOptions {
  /** `ipc://…` in a 0700 folder. */
  readonly address: string;
  /** Id of the cluster. */
  readonly cluster: string;
  readonly timers: ClusterTimers;
  readonly log: Logger;
  /** Resolves when the process of that session is gone; null when it cannot be seen from here. */
  watch(session: string): Promise<void> | null;
}

/** Agents and clients of a ledger. Made before the ledger, since the ledger sends through it; `open` begins to listen. */
export class ClusterHead {
  readonly #options: ClusterHeadOptions;
  readonly #agents = new Map<string, Peer>();
  readonly #clients = new Map<string, Peer>();
  /** Group → sessions that are told of its changes: who made it, found it, or named it in a hello. */
  readonly #interest = new Map<string, Set<string>>();
  readonly #owners: Owners;
  readonly #commits = new LazyCommits((node, batch) => this.#agents.get(node)?.cast('to-agent', batch));
  #core: JournaledLedger | null = null;
  #hub: PeerHub | null = null;

  constructor(options: ClusterHeadOptions) {
    this.#options = options;
    const { graceMs, deadMs } = options.timers;
    this.#owners = new Owners({
      // Its own clock ends its groups after the grace; ours must not be first.
      graceMs: graceMs + deadMs,
      watch: (session) => options.watch(session),
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
        // The ledger hears a dead node only when it says hello again, and it does so when it connects again.
        if (event.state === 'dead') this.#agents.get(event.id)?.close('taken for dead: join again');
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

  /** Listen. Owners of the journal's groups are watched from now on. */
  async open(core: JournaledLedger): Promise<void> {
    this.#core = core;
    for (const { owner } of core.state.groups()) if (owner !== null) this.#owners.here(owner, false);
    this.#hub = await openPeerHub({
      address: this.#options.address,
      accept: (hello) => this.#accept(hello),
      onPeer: (peer) => this.#joined(peer),
      handlers: (peer) => this.#handlers(peer),
    });
  }

  snapshot(): ClusterSnapshot {
    return snapshotOf(this.#ledger.state, this.#options.cluster);
  }

  async close(): Promise<void> {
    this.#owners.close();
    this.#commits.flush();
    await this.#hub?.close();
  }

  get #ledger(): JournaledLedger {
    if (this.#core === null) throw new Error('the head is not open');
    return this.#core;
  }

  #accept(hello: Hello): HeadWelcome {
    const { cluster, timers } = this.#options;
    const { epoch } = this.#ledger.state;
    if (hello.role === 'agent') return { cluster, epoch, timers, groups: [] };
    if (hello.role !== 'client') {
      throw new TwinkleError('PROTOCOL', `expected role agent or client but received ${JSON.stringify(hello.role)}`);
    }
    const named = (hello.body as Partial<ClientHello> | null)?.groups ?? [];
    const mine = named.flatMap((id) => {
      const group = this.#ledger.state.group(id);
      // What was refused while it was away, it must hear why.
      const gone = group === null || (group.state === 'REMOVED' && group.scheduling !== 'UNSCHEDULABLE');
      return gone ? [] : [this.#statusFor(hello.session, id)];
    });
    return { cluster, epoch, timers, groups: mine };
  }

  #joined(peer: Peer): void {
    const { role, session, body } = peer.hello;
    if (role === 'client') {
      this.#clients.set(session, peer);
      this.#owners.here(session, true);
      this.#dropUnnamed(session, body as Partial<ClientHello> | null);
      peer.onClose(({ cause }) => {
        if (this.#clients.get(session) !== peer) return; // it has joined again
        this.#clients.delete(session);
        if (cause === 'bye') this.#owners.left(session);
        else this.#owners.silent(session);
      });
      return;
    }
    const hello = body as AgentHello;
    this.#agents.set(hello.id, peer);
    this.#ledger.enter((ledger) => ledger.nodeHello(hello));
    const left = (why: string): void => {
      if (this.#agents.get(hello.id) !== peer) return;
      this.#agents.delete(hello.id);
      this.#ledger.enter((ledger) => ledger.nodeLeft(hello.id, why));
    };
    void this.#options.watch(session)?.then(() => left('its process ended'));
    peer.onClose(({ cause }) => {
      if (cause === 'bye') left('it left');
      // Otherwise it is silent: the ledger's timers decide, and it may come back.
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

  #handlers(peer: Peer): PeerHandlers {
    if (peer.hello.role === 'agent') {
      const { id } = peer.hello.body as AgentHello;
      return {
        call: (method) => {
          throw new TwinkleError('PROTOCOL', `an agent may not call \`${method}\``);
        },
        cast: (method, params) => {
          if (method !== 'from-agent') throw new TwinkleError('PROTOCOL', `an agent may not cast \`${method}\``);
          if (this.#agents.get(id) !== peer) return; // a straggler of a connection before
          this.#ledger.enter((ledger) => ledger.receive(id, params as FromAgentBatch));
        },
      };
    }
    return {
      call: (method, params) => this.#call(peer.session, method, (params ?? {}) as Record<string, unknown>),
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
