/**
 * A cluster of one node inside this process: the ledger and the reservations of the node, joined by direct calls. Nothing between them can
 * be lost, so there are no timers, no sockets and no journal; everything ends with the process.
 */
import { randomUUID } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import type { NodeReason } from '../scheduler/types.js';
import type { Cluster, ClusterSnapshot, Group } from './api.js';
import { Ledger } from './ledger.js';
import { LocalGroup } from './local-group.js';
import { ReservationTable } from './reservation-table.js';
import { groupStatus, snapshotOf } from './status-view.js';
import { DEFAULT_TIMERS, type GroupSpec, type LedgerEvent, type NodeHello } from './types.js';
import { helloToSpec } from './wire.js';

export interface LocalClusterOptions {
  /** The node. */
  readonly hello: Omit<NodeHello, 'held'>;
  /** Monotonic ms; default: that of the process. */
  readonly nowMs?: () => number;
  /** Told of everything that happens: logs, metrics. */
  readonly onEvent?: (event: LedgerEvent) => void;
}

/** Who owns what is made here. */
const OWNER = 'this process';

/** No renewals inside one process: its reservations live as long as it. */
const FOREVER = { stateful: Number.POSITIVE_INFINITY, serving: Number.POSITIVE_INFINITY };

/**
 * Open it.
 * @throws `PLACEMENT_INVALID`: what `hello` says of the node is wrong in itself
 */
export function openLocalCluster(options: LocalClusterOptions): LocalCluster {
  return new LocalCluster(options);
}

/** Open with {@link openLocalCluster}. */
export class LocalCluster implements Cluster {
  readonly kind = 'own';
  readonly connected = true;
  readonly #id = randomUUID();
  readonly #ledger: Ledger;
  readonly #groups = new Map<string, LocalGroup>();
  #open = true;

  constructor({ hello, nowMs = () => performance.now(), onEvent }: LocalClusterOptions) {
    const table = new ReservationTable(helloToSpec(hello), FOREVER);
    const { id, incarnation } = hello;
    this.#ledger = new Ledger(
      {
        nowMs,
        wallMs: () => Date.now(),
        newId: () => randomUUID(),
        random: () => Math.random(),
        send: (_node, batch) => this.#ledger.receive(id, { incarnation, messages: table.apply(batch, nowMs()) }),
        append: () => {},
        event: (event) => {
          onEvent?.(event);
          if (event.e !== 'group') return;
          this.#groups.get(event.id)?.changed();
          if (event.state === 'REMOVED') this.#groups.delete(event.id);
        },
      },
      DEFAULT_TIMERS,
    );
    this.#ledger.nodeHello({ ...hello, held: [] });
  }

  async createGroup(spec: GroupSpec): Promise<Group> {
    if (!this.#open) throw new TwinkleError('HEAD_UNREACHABLE', 'the cluster of this process is closed');
    const id = this.#ledger.createGroup(spec, OWNER);
    const group = new LocalGroup(id, {
      status: () => {
        const status = groupStatus(this.#ledger, id);
        if (status === null) throw new TwinkleError('GROUP_NOT_FOUND', `group ${id} was removed long ago`);
        return status;
      },
      explain: async (): Promise<readonly NodeReason[]> => this.#ledger.explain(id),
      remove: async () => this.#remove(id),
    });
    // A lease that was refused is over already, and nothing more is heard of it.
    if (this.#ledger.group(id)?.state !== 'REMOVED') this.#groups.set(id, group);
    return group;
  }

  /** A group or lease that is not removed; null: there is none. */
  groupOf(id: string): Group | null {
    return this.#groups.get(id) ?? null;
  }

  /** The living group of that name; null: none has it. */
  groupNamed(name: string, namespace: string): Group | null {
    const found = this.#ledger.findGroup(name, namespace);
    return found === null ? null : this.groupOf(found.id);
  }

  async snapshot(): Promise<ClusterSnapshot> {
    const snapshot = snapshotOf(this.#ledger, this.#id);
    // Nobody beats for a node that is this process.
    return { ...snapshot, nodes: snapshot.nodes.map((node) => ({ ...node, silentMs: 0 })) };
  }

  onConnection(): () => void {
    return () => {}; // it is always there
  }

  /** Removes every group: whoever waits for one is told. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#open = false;
    for (const { id } of [...this.#ledger.groups(0)]) this.#ledger.removeGroup(id);
  }

  /** A group that is not remembered any more has been removed before. */
  #remove(id: string): void {
    if (this.#ledger.group(id) !== null) this.#ledger.removeGroup(id);
  }
}
