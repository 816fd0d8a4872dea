/**
 * What is reserved on one node, kept by its agent: the arbiter of who holds which device there. A machine without I/O: batches of the head
 * and the time go in, answers come out. Knows no processes: whoever runs work under a reservation asks {@link ReservationTable.expire}.
 */
import { ClusterState } from '../scheduler/cluster-state.js';
import { allFree, giveBack, takeGrant } from '../scheduler/free.js';
import type { Free, Grant, NodeSpec } from '../scheduler/types.js';
import { conflictOf } from './grant-conflict.js';
import { mergeGrants } from './merge-grants.js';
import { RecentMap } from './recent-map.js';
import {
  DEFAULT_TIMERS,
  type FromAgent,
  type HeldReservation,
  type Hold,
  type ToAgent,
  type ToAgentBatch,
} from './types.js';
import { grantFromWire } from './wire.js';

/** A reservation that ran out: what runs under it must stop now. */
export interface Expired {
  readonly txn: string;
  readonly group: string;
  readonly hold: Hold;
  /** False: it was only prepared, nothing ran. */
  readonly committed: boolean;
  readonly reason: string;
}

/** A reservation as it is now. */
export interface Reservation {
  readonly txn: string;
  readonly group: string;
  readonly hold: Hold;
  readonly pieces: readonly { readonly bundle: number; readonly grant: Grant }[];
  /** What the pieces take together. */
  readonly sum: Grant;
  readonly committed: boolean;
  /** ms of the clock that is passed in. */
  readonly expiresAtMs: number;
}

/** How long committed reservations live without a renewal, by their hold. */
export type Lease = Readonly<Record<Hold, number>>;

const DEFAULT_LEASE: Lease = { stateful: DEFAULT_TIMERS.fencingMs, serving: DEFAULT_TIMERS.graceMs };

const NOT_RENEWED = 'no renewal came in time';

/** Ended transactions that are remembered, so that a late copy of their prepare does not bring them back. */
const REMEMBERED = 4096;

interface Held extends Omit<Reservation, 'committed' | 'expiresAtMs'> {
  committed: boolean;
  readonly preparedUntilMs: number;
}

export class ReservationTable {
  /** Batches of heads that have been replaced, all refused. */
  staleBatches = 0;
  readonly #spec: NodeSpec;
  readonly #held = new Map<string, Held>();
  /** Transaction → why it is over. */
  readonly #ended = new RecentMap<string, string>(REMEMBERED);
  readonly #firstLease: Lease;
  /** When committed reservations run out. It is the node that has a lease: a commit prolongs nothing. Null: nobody spoke to it yet. */
  #leaseEndsMs: Record<Hold, number> | null = null;
  #free: Free;
  #epoch = -1;
  /** Ran out, and not yet told by {@link expire}. */
  #expired: Expired[] = [];
  /** No reservation runs out before it; may be too early, never too late. */
  #soonestMs = Number.POSITIVE_INFINITY;

  /**
   * @param lease from the first batch on, until renewed; `Infinity` for a table that shares the life of its head
   * @throws `PLACEMENT_INVALID`: the totals or devices of the node are wrong in themselves
   */
  constructor(spec: NodeSpec, lease: Lease = DEFAULT_LEASE) {
    this.#spec = spec;
    const node = new ClusterState();
    node.addNode(spec);
    this.#free = node.node(spec.id)?.free ?? allFree(spec);
    this.#firstLease = lease;
  }

  /**
   * Do what a head says, and answer. A batch of an epoch lower than one seen before is refused as a whole: no answer, nothing done.
   * What has run out by `nowMs` ends first: a renewal that comes too late revives nothing.
   */
  apply(batch: ToAgentBatch, nowMs: number): FromAgent[] {
    if (batch.epoch < this.#epoch) {
      this.staleBatches += 1;
      return [];
    }
    this.#epoch = batch.epoch;
    this.#leaseEndsMs ??= {
      stateful: nowMs + this.#firstLease.stateful,
      serving: nowMs + this.#firstLease.serving,
    };
    this.#sweep(nowMs);
    return batch.messages.map((message) => this.#answer(message, nowMs));
  }

  /** Everything held, as a hello or a heartbeat reports it. */
  held(): HeldReservation[] {
    return Array.from(this.#held.values(), ({ txn, group, committed }) => ({ txn, group, committed }));
  }

  /** Everything held, with what it holds. */
  *reservations(): Iterable<Reservation> {
    for (const held of this.#held.values()) yield { ...held, expiresAtMs: this.#expiryOf(held) };
  }

  /** What nobody holds. */
  get free(): Free {
    return this.#free;
  }

  /** End what has run out by `nowMs`; returns everything that ran out since the last call, also what `apply` came upon. */
  expire(nowMs: number): Expired[] {
    this.#sweep(nowMs);
    const expired = this.#expired;
    this.#expired = [];
    return expired;
  }

  /** When to call {@link expire} next, rather too early than too late; null: nothing is held. */
  nextExpiryMs(): number | null {
    if (this.#expired.length > 0) return Number.NEGATIVE_INFINITY;
    return this.#held.size === 0 || this.#soonestMs === Number.POSITIVE_INFINITY ? null : this.#soonestMs;
  }

  #answer(message: ToAgent, nowMs: number): FromAgent {
    switch (message.t) {
      case 'prepare':
        return this.#prepare(message, nowMs);
      case 'commit':
        return this.#commit(message.txn, nowMs);
      case 'release':
        this.#drop(message.txn, 'it was released');
        return { t: 'released', txn: message.txn };
      case 'renew':
        return this.#renew(message, nowMs);
    }
  }

  #prepare({ txn, group, hold, pieces, ttlMs }: ToAgent & { t: 'prepare' }, nowMs: number): FromAgent {
    // A repeated one does not prolong: the head counts from the first.
    if (this.#held.has(txn)) return { t: 'prepared', txn };
    const over = this.#ended.get(txn);
    if (over !== undefined) return { t: 'refused', txn, reason: over };
    const taken = pieces.map(({ bundle, grant }) => ({ bundle, grant: grantFromWire(grant) }));
    const sum = mergeGrants(taken);
    const free = takeGrant(this.#free, sum);
    if (free === null) {
      const reason = conflictOf(this.#spec, this.#free, sum, this.#held.values());
      this.#ended.set(txn, reason);
      return { t: 'refused', txn, reason };
    }
    this.#free = free;
    const held = { txn, group, hold, pieces: taken, sum, committed: false, preparedUntilMs: nowMs + ttlMs };
    this.#held.set(txn, held);
    this.#soonestMs = Math.min(this.#soonestMs, held.preparedUntilMs);
    return { t: 'prepared', txn };
  }

  #commit(txn: string, nowMs: number): FromAgent {
    const reservation = this.#held.get(txn);
    if (reservation === undefined) {
      return { t: 'lost', txn, reason: this.#ended.get(txn) ?? 'this agent has no such reservation' };
    }
    reservation.committed = true;
    this.#soonestMs = Math.min(this.#soonestMs, this.#expiryOf(reservation));
    if (this.#soonestMs > nowMs) return { t: 'committed', txn };
    // Its lease is over: what would begin now would have to stop now.
    this.#sweep(nowMs);
    return this.#held.has(txn) ? { t: 'committed', txn } : { t: 'lost', txn, reason: NOT_RENEWED };
  }

  #renew({ fencingMs, graceMs, heardMs }: ToAgent & { t: 'renew' }, nowMs: number): FromAgent {
    const ends = this.#leaseEndsMs;
    if (heardMs !== null && ends !== null) {
      // Late ones are older than what is known already.
      this.#leaseEndsMs = {
        stateful: Math.max(ends.stateful, heardMs + fencingMs),
        serving: Math.max(ends.serving, heardMs + graceMs),
      };
    }
    return { t: 'alive', atMs: nowMs, held: this.held() };
  }

  #expiryOf({ committed, hold, preparedUntilMs }: Held): number {
    return committed ? (this.#leaseEndsMs?.[hold] ?? Number.POSITIVE_INFINITY) : preparedUntilMs;
  }

  /** Also for one that is not held: its prepare may still be on the way. */
  #drop(txn: string, why: string): void {
    this.#ended.set(txn, why);
    const reservation = this.#held.get(txn);
    if (reservation === undefined) return;
    this.#held.delete(txn);
    this.#free = giveBack(this.#free, reservation.sum);
  }

  #sweep(nowMs: number): void {
    if (nowMs < this.#soonestMs) return;
    this.#soonestMs = Number.POSITIVE_INFINITY;
    for (const reservation of [...this.#held.values()]) {
      const expiresAtMs = this.#expiryOf(reservation);
      if (nowMs < expiresAtMs) {
        this.#soonestMs = Math.min(this.#soonestMs, expiresAtMs);
        continue;
      }
      const { txn, group, hold, committed } = reservation;
      const reason = committed ? NOT_RENEWED : 'it was not committed in time';
      this.#drop(txn, reason);
      this.#expired.push({ txn, group, hold, committed, reason });
    }
  }
}
