/** Places for workers: leases of the ledger, or shares of a placement group. Each is asked for, waited for, and given back the same way. */
import type { Group, GroupStatus, SeatDevice } from '../cluster/api.js';
import { groupSpec } from '../cluster/group-spec.js';
import type { GroupSpec, TaskPlacementSpec } from '../cluster/types.js';
import { TwinkleError } from '../errors.js';
import type { Demand, Setup } from '../protocol/work.js';
import { NODE_ID_LABEL } from '../scheduler/labels.js';
import { deferred } from '../util/deferred.js';
import { GroupShares, type Share } from './group-shares.js';

/** Where a worker may run, and what it may see there. */
export interface Seat {
  readonly node: string;
  /** Resource → ids of its devices, as Ray counts them. */
  readonly devices: Setup['devices'];
  /** Masks of accelerators, and the demand's own variables. */
  readonly env: Readonly<Record<string, string>>;
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
  /** Called once if it is taken away before it is released; whoever sits there must go. */
  onLost(listener: (reason: string) => void): void;
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

export interface SeatsOptions {
  readonly groups: Groups;
  /** Of this box: tried first. */
  readonly node: string;
  /** The number by which a vendor's runtime knows a device. */
  indexOf(device: SeatDevice): string;
  /** False: the user keeps that variable (`NOSET`). */
  mayMask(variable: string): boolean;
}

/** Variables that hide devices from a vendor's runtime, by resource. */
const MASKS: Readonly<Record<string, string>> = { GPU: 'CUDA_VISIBLE_DEVICES', NPU: 'ASCEND_RT_VISIBLE_DEVICES' };

export class Seats {
  readonly #options: SeatsOptions;
  readonly #shares = new GroupShares();
  /** Who waits for a part of a group, in their order. */
  readonly #queues = new Map<string, (() => void)[]>();

  constructor(options: SeatsOptions) {
    this.#options = options;
  }

  /**
   * Ask for one.
   * @param needs what must be free beyond what is held; a place in a group needs nothing more
   * @throws `PLACEMENT_INVALID`, `INVALID_REQUEST`, `GROUP_NOT_FOUND`
   */
  async ask(demand: Demand, needs: TaskPlacementSpec['needs']): Promise<Place> {
    return demand.group === null ? await this.#lease(demand, needs) : this.#share(demand, demand.group);
  }

  async #lease(demand: Demand, needs: TaskPlacementSpec['needs']): Promise<Place> {
    const spec = groupSpec({
      bundles: [demand.resources],
      // Workers are started on this box only, so nobody may be sent to another. A wish for one by its id is kept, and refused below.
      selectors: [{ [NODE_ID_LABEL]: this.#options.node, ...demand.selectors }],
      hold: 'stateful',
      task: { strategy: strategyOf(demand), preferred: this.#options.node, needs },
    });
    const group = await this.#options.groups.createGroup(spec);
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
        const [bundle] = group.status.bundles;
        this.#refuseElsewhere(bundle?.node ?? null, 'it was placed there');
        return this.#seat(demand, this.#options.node, bundle?.devices ?? []);
      },
      onLost: (listener) => onceLost(group, () => released, listener),
      release: () => {
        if (released) return;
        released = true;
        // A ledger that cannot say so now keeps it until this process ends.
        group.remove().catch(() => {});
      },
    };
  }

  #share(demand: Demand, { group: id, bundle }: NonNullable<Demand['group']>): Place {
    const group = this.#options.groups.groupOf(id);
    if (group === null) throw new TwinkleError('GROUP_NOT_FOUND', `no placement group ${id}`);
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
        await placed(group, signal, () => {});
        const { bundles } = group.status;
        this.#refuseElsewhere(bundles[bundle]?.node ?? null, `bundle ${bundle} of placement group ${id} is there`);
        const here = bundles.filter(({ node }) => node === this.#options.node);
        if (bundles.length > 0 && here.length === 0) {
          this.#refuseElsewhere(bundles[0]?.node ?? null, `all of placement group ${id} is there`);
        }
        if (this.#shares.open(id, here)) onceLost(group, isHeld, () => this.#close(id));
        while (share === null) {
          share = this.#shares.take(id, bundle, demand.resources);
          if (share !== null) break;
          waits = true;
          waiting();
          await this.#turn(id, group, signal);
        }
        waits = false;
        return this.#seat(demand, share.node, share.devices);
      },
      onLost: (listener) => onceLost(group, () => released, listener),
      release: () => {
        if (released) return;
        released = true;
        if (share !== null) this.#shares.giveBack(share);
        this.#wake(id);
      },
    };
  }

  /** Until somebody in the group has given something back. */
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
      if (group.status.state !== 'CREATED') {
        throw new TwinkleError('GROUP_REMOVED', `placement group ${id} lost its places while it was waited for`);
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

  #close(id: string): void {
    this.#shares.close(id);
    this.#wake(id);
    this.#queues.delete(id);
  }

  #refuseElsewhere(node: string | null, why: string): void {
    if (node === null || node === this.#options.node) return;
    const message = `no worker can be started on node ${node} (${why}): actors and tasks run on node ${this.#options.node}, beside their head`;
    throw new TwinkleError('TASK_UNSCHEDULABLE', message);
  }

  #facts({ resources, group }: Demand): Seat['facts'] {
    const found = group === null ? null : this.#options.groups.groupOf(group.group);
    if (group === null || found === null) return { resources };
    const bundles = found.status.bundles.map((bundle) => ({ ...bundle.resources }));
    return { resources, within: { id: found.id, bundles, capture: group.capture ?? false } };
  }

  #seat(demand: Demand, node: string, held: readonly SeatDevice[]): Seat {
    const { indexOf, mayMask } = this.#options;
    const devices: Record<string, string[]> = {};
    const env: Record<string, string> = {};
    for (const device of held) {
      devices[device.resource] = [...(devices[device.resource] ?? []), String(device.instance)];
      const mask = MASKS[device.resource];
      if (mask === undefined || !mayMask(mask)) continue;
      env[mask] = env[mask] === undefined ? indexOf(device) : `${env[mask]},${indexOf(device)}`;
    }
    return { node, devices, env: { ...env, ...demand.env }, facts: this.#facts(demand) };
  }
}

const isHeld = (): boolean => false;

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

/** Tells once when a group that had its places has them no more, unless it was given back before. */
function onceLost(group: Group, released: () => boolean, listener: (reason: string) => void): void {
  const stop = group.onChange(({ state, reason }: GroupStatus) => {
    if (state === 'CREATED') return;
    stop();
    if (!released()) listener(reason ?? 'its place was taken away');
  });
}
