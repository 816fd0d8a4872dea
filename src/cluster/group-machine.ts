/**
 * One placement group of the ledger: its states and the transitions between them. Knows no nodes, messages or journal; whoever moves it
 * claims and releases what the move means.
 */
import type { GroupRequest } from '../scheduler/types.js';
import type { Attempt, Claim } from './ledger-model.js';
import type { Waiting } from './pending-queue.js';
import { requestOf } from './request-of.js';
import type { PlacementRequest } from './request-shape.js';
import type { BundleSeat, GroupSpec, GroupState, GroupView, SchedulingState } from './types.js';

/** Puts groups that lost bundles before all that never had any. */
const FRONT = -(2 ** 50);

/** What a group is from the start. */
export interface GroupIdentity {
  readonly id: string;
  readonly spec: GroupSpec;
  readonly owner: string | null;
  /** Unix ms. */
  readonly createdAt: number;
  /** Order of creation. */
  readonly sequence: number;
}

export class GroupMachine {
  readonly id: string;
  readonly spec: GroupSpec;
  readonly owner: string | null;
  readonly createdAt: number;
  /** For all bundles, nothing placed yet. */
  readonly request: PlacementRequest;
  /** Everything that it has taken and is not releasing. */
  readonly claims = new Set<Claim>();
  /** Tries that are over; those of the place in the queue where it waits now come on top. */
  attempts = 0;
  readonly #sequence: number;
  #state: GroupState = 'PENDING';
  #reason: string | null = null;
  #seats: readonly (BundleSeat | null)[];
  #attempt: Attempt | null = null;

  /** @throws `PLACEMENT_INVALID` */
  constructor(identity: GroupIdentity) {
    this.id = identity.id;
    this.spec = identity.spec;
    this.owner = identity.owner;
    this.createdAt = identity.createdAt;
    this.#sequence = identity.sequence;
    this.request = requestOf(identity.spec);
    this.#seats = new Array<null>(identity.spec.bundles.length).fill(null);
  }

  get state(): GroupState {
    return this.#state;
  }

  get seats(): readonly (BundleSeat | null)[] {
    return this.#seats;
  }

  /** The attempt under way; null: none. */
  get attempt(): Attempt | null {
    return this.#attempt;
  }

  /** Place in the queue: lower is earlier, and never the same for two groups. */
  get order(): number {
    return this.#state === 'RESCHEDULING' ? FRONT + this.#sequence : this.#sequence;
  }

  /** Bundles without a seat. */
  missing(): number[] {
    const missing: number[] = [];
    for (const [bundle, seat] of this.#seats.entries()) if (seat === null) missing.push(bundle);
    return missing;
  }

  /** A plan is being prepared. */
  prepare(attempt: Attempt): void {
    this.#expect(this.#attempt === null && this.#waits, 'prepare');
    this.#attempt = attempt;
    this.attempts += 1;
    this.#reason = null;
  }

  /** The attempt failed; it waits again, at its old place. */
  abandon(reason: string): void {
    this.#expect(this.#attempt !== null, 'abandon');
    this.#attempt = null;
    this.#reason = reason;
  }

  /** The attempt is decided: these bundles have their seats. CREATED when none is missing. */
  seat(seats: ReadonlyMap<number, BundleSeat>): void {
    this.#attempt = null;
    this.#seats = this.#seats.map((seat, bundle) => seats.get(bundle) ?? seat);
    if (!this.#seats.includes(null)) this.#state = 'CREATED';
  }

  /** Bundles have lost their seats. */
  lose(bundles: readonly number[], reason: string): void {
    this.#expect(this.#attempt === null && this.#state !== 'REMOVED', 'lose');
    const gone = new Set(bundles);
    this.#seats = this.#seats.map((seat, bundle) => (gone.has(bundle) ? null : seat));
    this.#state = 'RESCHEDULING';
    this.#reason = reason;
  }

  /** For good. Its last seats stay visible. @param refusal why its strategy allows no node; null: somebody removed it */
  remove(refusal: string | null = null): void {
    this.#attempt = null;
    this.#state = 'REMOVED';
    this.#reason = refusal;
  }

  /** Why it was removed, if its strategy allowed no node; else null. */
  get refusal(): string | null {
    return this.#state === 'REMOVED' ? this.#reason : null;
  }

  /** @param waiting where it waits, if it does */
  view(waiting: Waiting | null): GroupView {
    return {
      id: this.id,
      spec: this.spec,
      owner: this.owner,
      state: this.#state,
      scheduling: this.scheduling(waiting),
      reason: this.reason(waiting),
      seats: this.#seats,
      attempts: this.attempts + (waiting?.attempts ?? 0),
      createdAt: this.createdAt,
      position: waiting?.position() ?? null,
    };
  }

  /** @param waiting where it waits, if it does */
  scheduling(waiting: Pick<Waiting, 'verdict'> | null): SchedulingState {
    if (this.#state === 'CREATED') return 'FINISHED';
    if (this.#state === 'REMOVED') return this.#reason === null ? 'REMOVED' : 'UNSCHEDULABLE';
    return this.#attempt !== null ? 'PREPARING' : (waiting?.verdict?.scheduling ?? 'QUEUED');
  }

  /** @param waiting where it waits, if it does */
  reason(waiting: Pick<Waiting, 'verdict'> | null): string | null {
    return waiting?.verdict?.reason ?? this.#reason;
  }

  get #waits(): boolean {
    return this.#state === 'PENDING' || this.#state === 'RESCHEDULING';
  }

  #expect(holds: boolean, move: string): void {
    if (!holds) throw new Error(`group ${this.id} cannot ${move} while it is ${this.#state}`);
  }
}

/**
 * What is still to be placed: all of it, or after a loss the missing bundles, under the same strategy and next to those that stay.
 * @param labels of a node that holds a seat
 */
export function requestForMissing(
  group: { readonly request: GroupRequest; readonly seats: GroupMachine['seats'] },
  missing: readonly number[],
  labels: (node: string) => ReadonlyMap<string, string>,
): GroupRequest {
  const { request } = group;
  if (missing.length === request.bundles.length) return request;
  const occupied = new Set(group.seats.flatMap((seat) => (seat === null ? [] : [seat.node])));
  const [anyNode] = occupied;
  const { domain, selectors } = request;
  return {
    ...request,
    bundles: pick(request.bundles, missing),
    selectors: selectors === null ? null : pick(selectors, missing),
    domain:
      domain === null || anyNode === undefined
        ? domain
        : { label: domain.label, value: labels(anyNode).get(domain.label) ?? null },
    occupied,
    tensorParallel: wholeBlocks(missing, request.tensorParallel) ? request.tensorParallel : 1,
  };
}

function pick<T>(all: readonly T[], indices: readonly number[]): T[] {
  return indices.flatMap((index) => {
    const item = all[index];
    return item === undefined ? [] : [item];
  });
}

/** Whether the bundles are complete tensor-parallel groups. */
function wholeBlocks(bundles: readonly number[], size: number): boolean {
  if (bundles.length % size !== 0) return false;
  return bundles.every(
    (bundle, at) => bundle % size === at % size && (at % size === 0 || bundles[at - 1] === bundle - 1),
  );
}
