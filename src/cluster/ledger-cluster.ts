/** The ledger of this process as a `Cluster`, for what runs beside it: no socket between, the same words as from outside. */
import { TwinkleError } from '../errors.js';
import type { Cluster, ClusterSnapshot, Group } from './api.js';
import type { JournaledLedger } from './journaled-ledger.js';
import { LocalGroup } from './local-group.js';
import { groupStatus, snapshotOf } from './status-view.js';
import type { GroupSpec, LedgerEvent } from './types.js';

export interface LedgerClusterOptions {
  readonly core: JournaledLedger;
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
      const status = groupStatus(this.#options.core.state, id);
      if (status !== null) group.changed(); // else removed, and forgotten among many others
      if (status === null || status.state === 'REMOVED') this.#groups.delete(id);
    }
  }

  async createGroup(spec: GroupSpec): Promise<Group> {
    const { core, owner } = this.#options;
    const id = core.enter((ledger) => ledger.createGroup(spec, spec.lifetime === 'detached' ? null : owner));
    const group = new LocalGroup(id, {
      status: () => {
        const status = groupStatus(core.state, id);
        if (status === null) throw new TwinkleError('GROUP_NOT_FOUND', `group ${id} was removed long ago`);
        return status;
      },
      explain: async () => core.state.explain(id),
      remove: async () => {
        if (core.state.group(id) !== null) core.enter((ledger) => ledger.removeGroup(id));
      },
    });
    if (group.status.state !== 'REMOVED') this.#groups.set(id, group);
    return group;
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
}
