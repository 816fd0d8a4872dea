/** The ledger of this process as a `Cluster`, for what runs beside it: no socket between, the same words as from outside. */
import type { Cluster, ClusterSnapshot, Group, GroupStatus } from './api.js';
import type { JournaledLedger } from './journaled-ledger.js';
import { LocalGroup } from './local-group.js';
import { groupStatus, snapshotOf } from './status-view.js';
import type { GroupSpec, LedgerEvent } from './types.js';

export interface LedgerClusterOptions {
  readonly core: Pick<JournaledLedger, 'state' | 'enter'>;
  /** Id of the cluster. */
  readonly cluster: string;
  /** Session of this process: its groups end with it. */
  readonly owner: string;
}

export class LedgerCluster implements Cluster {
  readonly kind = 'own';
  readonly connected = true;
  readonly #options: LedgerClusterOptions;
  readonly #groups = new Map<string, LocalGroup>();

  constructor(options: LedgerClusterOptions) {
    this.#options = options;
  }

  /** What the ledger tells, after the journal has it. */
  heard(events: readonly LedgerEvent[]): void {
    const changed = new Set(events.flatMap((event) => (event.e === 'group' ? [event.id] : [])));
    for (const id of changed) {
      const group = this.#groups.get(id);
      if (group === undefined) continue;
      if (group.status.state === 'REMOVED') this.#groups.delete(id);
      group.changed();
    }
  }

  async createGroup(spec: GroupSpec): Promise<Group> {
    const { core, owner } = this.#options;
    return this.#know(core.enter((ledger) => ledger.createGroup(spec, spec.lifetime === 'detached' ? null : owner)));
  }

  /** A group or lease that is not removed, whoever made it; null: there is none. */
  groupOf(id: string): Group | null {
    const found = this.#options.core.state.group(id);
    return found === null || found.state === 'REMOVED' ? null : (this.#groups.get(id) ?? this.#know(id));
  }

  /** The living group of that name; null: none has it. */
  groupNamed(name: string, namespace: string): Group | null {
    const found = this.#options.core.state.findGroup(name, namespace);
    return found === null ? null : this.groupOf(found.id);
  }

  async snapshot(): Promise<ClusterSnapshot> {
    return snapshotOf(this.#options.core.state, this.#options.cluster);
  }

  onConnection(): () => void {
    return () => {}; // it is always there
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const group of [...this.#groups.values()]) await group.remove();
  }

  #know(id: string): Group {
    const { core } = this.#options;
    let last: GroupStatus | null = null;
    const group = new LocalGroup(id, {
      // A removed one is forgotten after many others: who waits for it must hear all the same that it is gone.
      status: () => {
        last = groupStatus(core.state, id) ?? forgotten(last as GroupStatus);
        return last;
      },
      explain: async () => (core.state.group(id) === null ? [] : core.state.explain(id)),
      remove: async () => {
        if (core.state.group(id) !== null) core.enter((ledger) => ledger.removeGroup(id));
      },
    });
    if (group.status.state !== 'REMOVED') this.#groups.set(id, group);
    return group;
  }
}

function forgotten(last: GroupStatus): GroupStatus {
  if (last.state === 'REMOVED') return last;
  return { ...last, state: 'REMOVED', reason: 'it was removed long ago', position: null };
}
