/** Places for workers: leases of the ledger, or shares of a placement group. Each is asked for, waited for, and given back the same way. */
import type { Group, GroupStatus, SeatDevice } from '../cluster/api.js';
import { groupSpec } from '../cluster/group-spec.js';
import type { GroupSpec, TaskPlacementSpec } from '../cluster/types.js';
import { TwinkleError } from '../errors.js';
import type { Demand, Setup } from '../protocol/work.js';
import { deferred } from '../util/deferred.js';
import { GroupShares, type Share } from './group-shares.js';

/** Where a worker may run, and what it has there. */
export interface Seat {
  readonly node: string;
  readonly held: readonly SeatDevice[];
  /** What it has, and in which group. */
  readonly facts: Pick<Setup, 'resources' | 'within'>;
}

/** A place that was asked for. */
export interface Place {
  /** Why it is not there yet, for people; null: it is, or is about to be. */
  readonly reason: string | null;
  /** It holds devices. */
  readonly holdsDevices: boolean;
  /**
   * Resolves when it is there.
   * @param waiting called when others have to give something back first
   * @throws `TASK_UNSCHEDULABLE`, `GROUP_REMOVED`, the signal's reason
   */
  ready(signal: AbortSignal, waiting: () => void): Promise<Seat>;
  /**
   * Called when it is taken away before it is released; whoever sits there must go.
   * @param listener `again`: another is looked for, and `ready` waits for it; else it is gone for good
   */
  onLost(listener: (reason: string, again: boolean) => void): void;
  /** Who sat there has gone. Idempotent. */
  release(): void;
}

/** What seats need of a ledger. */
export interface Groups {
  createGroup(spec: GroupSpec): Promise<Group>;
  /** A living group, whoever made it; null: none. */
  groupOf(id: string): Group | null;
  /** The living one of that name; null: none. */
  groupNamed(name: string, namespace: string): Group | null;
}

export class Seats {
  readonly #groups: Groups;
  readonly #shares = new GroupShares();
  /** The attempt that gave them the places that are shared out, by group. */
  readonly #opened = new Map<string, number | null>();
  /** Who waits for a part of a group, in their order. */
  readonly #queues = new Map<string, (() => void)[]>();

  constructor(groups: Groups) {
    this.#groups = groups;
  }

  /**
   * Ask for one.
   * @param needs what must be free beyond what is held; a place in a group needs nothing more
   * @param preferred node that is tried first: that of who asks
   * @throws `PLACEMENT_INVALID`, `INVALID_REQUEST`, `GROUP_NOT_FOUND`
   */
  async ask(demand: Demand, needs: TaskPlacementSpec['needs'], preferred: string): Promise<Place> {
    return demand.group === null ? await this.#lease(demand, needs, preferred) : this.#share(demand, demand.group);
  }

  async #lease(demand: Demand, needs: TaskPlacementSpec['needs'], preferred: string): Promise<Place> {
    const spec = groupSpec({
      bundles: [demand.resources],
      selectors: [demand.selectors],
      hold: 'stateful',
      task: { strategy: strategyOf(demand), preferred, needs },
    });
    const group = await this.#groups.createGroup(spec);
    const stay = new Stay(group);
    let released = false;
    return {
      get reason() {
        return group.status.reason;
      },
      get holdsDevices() {
        return (group.status.bundles[0]?.devices.length ?? 0) > 0;
      },
      ready: async (signal, waiting) => {
        await placed(group, signal, waiting);
        stay.begin();
        const [bundle] = group.status.bundles;
        return { node: bundle?.node ?? '', held: bundle?.devices ?? [], facts: this.#facts(demand) };
      },
      onLost: (listener) => stay.onLost(() => released, listener),
      release: () => {
        if (released) return;
        released = true;
        // A ledger that cannot say so now keeps it until this process ends.
        group.remove().catch(() => {});
      },
    };
  }

  #share(demand: Demand, { group: id, bundle }: NonNullable<Demand['group']>): Place {
    const group = this.#groups.groupOf(id);
    if (group === null) throw new TwinkleError('GROUP_NOT_FOUND', `no placement group ${id}`);
    const stay = new Stay(group);
    let share: Share | null = null;
    let released = false;
    let waits = false;
    return {
      get reason() {
        return waits ? `others have what it needs of placement group ${id}` : group.status.reason;
      },
      get holdsDevices() {
        return (share?.devices.length ?? 0) > 0;
      },
      ready: async (signal, waiting) => {
        for (;;) {
          await placed(group, signal, () => {});
          this.#open(group);
          if (!stay.holds) share = null; // with its place, though that is not told yet
          share ??= this.#shares.take(id, bundle, demand.resources);
          if (share !== null) break;
          waits = true;
          waiting();
          await this.#turn(id, group, signal);
        }
        waits = false;
        stay.begin();
        return { node: share.node, held: share.devices, facts: this.#facts(demand) };
      },
      onLost: (listener) =>
        stay.onLost(
          () => released,
          (reason, again) => {
            share = null;
            listener(reason, again);
          },
        ),
      release: () => {
        if (released) return;
        released = true;
        if (share !== null && stay.holds) this.#shares.giveBack(share);
        this.#wake(id);
      },
    };
  }

  /** Until somebody in the group has given something back, or it has lost its places. */
  async #turn(id: string, group: Group, signal: AbortSignal): Promise<void> {
    const turn = deferred<void>();
    const queue = this.#queues.get(id) ?? [];
    this.#queues.set(id, queue);
    queue.push(turn.resolve);
    const withdraw = (): void => turn.reject(signal.reason);
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      await turn.promise;
      signal.throwIfAborted();
      if (group.status.state === 'REMOVED') {
        throw new TwinkleError('GROUP_REMOVED', `placement group ${id} was removed while it was waited for`);
      }
    } finally {
      signal.removeEventListener('abort', withdraw);
      this.#queues.set(
        id,
        (this.#queues.get(id) ?? []).filter((other) => other !== turn.resolve),
      );
    }
  }

  /** All look again, in their order: what became free may suit a later one only. */
  #wake(id: string): void {
    for (const resume of [...(this.#queues.get(id) ?? [])]) resume();
  }

  /** Its places can be shared out. What others had of those of before is nobody's, also where it is not told yet that they are lost. */
  #open(group: Group): void {
    const { id, status } = group;
    const attempt = attemptOf(status);
    if (this.#opened.get(id) === attempt) return;
    this.#close(id);
    this.#shares.open(id, status.bundles);
    this.#opened.set(id, attempt);
    const stay = new Stay(group);
    stay.begin();
    stay.onLost(
      () => this.#opened.get(id) !== attempt,
      () => this.#close(id),
    );
  }

  #close(id: string): void {
    this.#opened.delete(id);
    this.#shares.close(id);
    this.#wake(id);
    this.#queues.delete(id);
  }

  #facts({ resources, group }: Demand): Seat['facts'] {
    const found = group === null ? null : this.#groups.groupOf(group.group);
    if (group === null || found === null) return { resources };
    const bundles = found.status.bundles.map((bundle) => ({ ...bundle.resources }));
    return { resources, within: { id: found.id, bundles, capture: group.capture ?? false } };
  }
}

function strategyOf({ strategy, node, soft }: Demand): TaskPlacementSpec['strategy'] {
  if (strategy === 'spread') return { kind: 'spread' };
  if (strategy === 'node') {
    return { kind: 'node-affinity', node, soft, spillOnUnavailable: false, failOnUnavailable: false };
  }
  if (strategy === 'default') return { kind: 'default' };
  throw new TwinkleError(
    'INVALID_REQUEST',
    `expected default, spread or node for \`strategy\` but received ${JSON.stringify(strategy.slice(0, 60))}`,
  );
}

async function placed(group: Group, signal: AbortSignal, waiting: () => void): Promise<void> {
  const stop = group.onChange(({ scheduling }) => {
    if (scheduling === 'NO_RESOURCES') waiting();
  });
  if (group.status.scheduling === 'NO_RESOURCES') waiting();
  await group.ready({ signal }).finally(stop);
}

/** That which gave it its places; null: it has none. */
function attemptOf({ state, attempts }: GroupStatus): number | null {
  return state === 'CREATED' ? attempts : null;
}

/** Whether the places that somebody took of a group are still there. */
class Stay {
  readonly #group: Group;
  #attempt: number | null = null;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Those that it has now are taken. */
  begin(): void {
    this.#attempt = attemptOf(this.#group.status);
  }

  /** They were taken, and it has them now. */
  get holds(): boolean {
    return this.#attempt !== null && this.#attempt === attemptOf(this.#group.status);
  }

  /** Told whenever they are lost, unless they were given back before. Changes are told late: it may have others, and they be taken, by then. */
  onLost(released: () => boolean, listener: (reason: string, again: boolean) => void): void {
    const stop = this.#group.onChange((status: GroupStatus) => {
      const { state, reason } = status;
      if (state === 'REMOVED' || released()) stop();
      if (this.#attempt === null || attemptOf(status) === this.#attempt || released()) return;
      this.#attempt = null;
      listener(reason ?? 'its place was taken away', state !== 'REMOVED');
    });
  }
}
