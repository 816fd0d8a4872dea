/**
 * A gang that takes requests only when it has been told, after each of its starts, what its fellows know: adapters, and whether to sleep.
 * Knows nothing of either. While nothing needs to be told it is the gang itself.
 */
import type { Channel } from '../transport/channel.js';
import type { OpenReplica } from './broadcast.js';
import type { ReplicaGang } from './replica.js';

/** Something that every replica must be told after each start. */
export interface Upkeep {
  /** Whether nothing is left to tell this start of this replica. Cheap. */
  settled(replica: string, epoch: number): boolean;
  /** Tell the next thing. When it resolves it has been told, or need not be any more. */
  settle(replica: OpenReplica): Promise<void>;
  /** Whether a replica that has opened must close until it has been told again. Cheap: asked for each request. Absent: never. */
  outdated?(replica: string, epoch: number): boolean;
}

export interface PreparedGangOptions {
  /** Id of the replica. */
  readonly id: string;
  readonly upkeep: readonly Upkeep[];
  /** It takes requests again; what waits may be sent. */
  opened(): void;
  /** It could not be told everything and takes requests all the same: better out of step than gone. */
  problem(error: unknown): void;
}

export class PreparedGang implements ReplicaGang {
  /** Start in which it takes requests. */
  #open = -1;
  /** Start that is being told. */
  #preparing = -1;

  constructor(
    readonly inner: ReplicaGang,
    readonly options: PreparedGangOptions,
  ) {}

  get state(): ReplicaGang['state'] {
    return this.inner.state;
  }

  get epoch(): number {
    return this.inner.epoch;
  }

  get restarts(): number {
    return this.inner.restarts;
  }

  get card(): ReplicaGang['card'] {
    return this.inner.card;
  }

  get stats(): ReplicaGang['stats'] {
    return this.inner.stats;
  }

  get group(): string | null {
    return this.inner.group;
  }

  /** Null also while it is being told. Looking begins that, so nobody has to remember to. */
  get lead(): Channel | null {
    const { lead, epoch } = this.inner;
    if (lead === null || (this.#open === epoch && !this.#outdated(epoch))) return lead;
    this.#open = -1; // until it has been told all, not just what closed it
    if (this.#todo(epoch) === undefined) {
      this.#open = epoch;
      return lead;
    }
    if (this.#preparing !== epoch) void this.#prepare(lead, epoch);
    return null;
  }

  /** For broadcasts; null while it takes no requests. */
  get replica(): OpenReplica | null {
    const { lead, epoch } = this;
    return lead === null ? null : { id: this.options.id, epoch, lead };
  }

  #outdated(epoch: number): boolean {
    const { id, upkeep } = this.options;
    return upkeep.some((one) => one.outdated?.(id, epoch) === true);
  }

  #todo(epoch: number): Upkeep | undefined {
    const { id, upkeep } = this.options;
    return upkeep.find((one) => !one.settled(id, epoch));
  }

  async #prepare(lead: Channel, epoch: number): Promise<void> {
    const { id, opened, problem } = this.options;
    const alive = (): boolean => this.inner.lead === lead && this.inner.epoch === epoch;
    this.#preparing = epoch;
    try {
      // The last look and the opening are one step: whoever changes what is to be told finds the replica either still here or open.
      for (let next = this.#todo(epoch); next !== undefined && alive(); next = this.#todo(epoch)) {
        await next.settle({ id, epoch, lead });
      }
    } catch (error) {
      if (alive()) problem(error);
    }
    if (this.#preparing === epoch) this.#preparing = -1;
    if (!alive()) return;
    this.#open = epoch;
    opened();
  }
}
