/** A replica of a model: one gang, and what runs on it. */
import { TwinkleError } from '../errors.js';
import type { GangState } from '../supervisor/gang-machine.js';
import type { Channel } from '../transport/channel.js';
import { type Deferred, deferred } from '../util/deferred.js';
import type { AnyTicket } from './ticket.js';
import type { ModelState, ReplicaStatus } from './types.js';

/** What serving needs of a gang; `supervisor/gang.ts` has it, and test doubles. */
export interface ReplicaGang {
  readonly state: GangState;
  readonly epoch: number;
  readonly restarts: number;
  readonly card: import('../protocol/values.js').ModelCard | null;
  readonly stats: ReplicaStatus['stats'];
  readonly lead: Channel | null;
  /** Id of its placement group; null: none yet. */
  readonly group: string | null;
}

/** Parts beyond a full batch that may wait inside the engine, so that a freed slot is taken within the same step. */
const AHEAD = 0.25;

export class Replica {
  #width = 0;
  /** Requests and calls that run here. */
  #ongoing = 0;
  #retirement: Deferred<boolean> | null = null;

  /** @param maxOngoing requests at a time, on top of what the engine takes; null: no such limit */
  constructor(
    readonly id: string,
    readonly gang: ReplicaGang,
    private readonly describeRanks: () => ReplicaStatus['ranks'],
    private readonly maxOngoing: number | null = null,
  ) {}

  /** Choices that run here. */
  get width(): number {
    return this.#width;
  }

  get epoch(): number {
    return this.gang.epoch;
  }

  /** The channel to who takes calls; null: it takes none now. */
  get lead(): Channel | null {
    return this.#retirement === null ? this.gang.lead : null;
  }

  /** Whether a ticket of `width` choices may be sent now; an empty replica takes any. */
  hasRoom(width: number): boolean {
    const { lead } = this;
    const { card } = this.gang;
    if (lead === null || card === null || this.#ongoing >= (this.maxOngoing ?? Number.POSITIVE_INFINITY)) return false;
    return this.#width === 0 || this.#width + width <= Math.ceil(card.max_num_seqs * (1 + AHEAD));
  }

  run(ticket: AnyTicket): void {
    const { lead } = this.gang;
    if (lead === null) throw new TwinkleError('NOT_READY', `replica ${this.id} is not ready`);
    ticket.start(this.id, lead);
    this.#width += ticket.width;
    this.#ongoing += 1;
  }

  /** A call to {@link lead}: it is not ended under it. */
  async during<T>(call: Promise<T>): Promise<T> {
    this.#ongoing += 1;
    try {
      return await call;
    } finally {
      this.#less();
    }
  }

  /** Take nothing new. Resolves true when nothing runs any more, false when it was revived before. */
  retire(): Promise<boolean> {
    this.#retirement ??= deferred();
    if (this.#ongoing === 0) this.#retirement.resolve(true);
    return this.#retirement.promise;
  }

  /** Take requests again. */
  revive(): void {
    this.#retirement?.resolve(false);
    this.#retirement = null;
  }

  /** A ticket that ran here is over, or goes elsewhere. */
  left(ticket: AnyTicket): void {
    this.#width -= ticket.width;
    this.#less();
  }

  #less(): void {
    this.#ongoing -= 1;
    if (this.#ongoing === 0) this.#retirement?.resolve(true);
  }

  status(): ReplicaStatus {
    const { gang } = this;
    return {
      id: this.id,
      state: this.#retirement === null ? modelState(gang) : 'draining',
      epoch: gang.epoch,
      restarts: gang.restarts,
      inFlight: this.#width,
      group: gang.group,
      stats: gang.stats,
      ranks: this.describeRanks(),
    };
  }
}

/** A gang's state in the words of serving. */
export function modelState(gang: Pick<ReplicaGang, 'state' | 'epoch' | 'card'>): ModelState {
  const { state } = gang;
  switch (state.at) {
    case 'ready':
      return 'ready';
    case 'failed':
      return 'failed';
    case 'stopped':
      return 'stopped';
    case 'teardown':
      return state.next === 'give-up' ? 'failed' : state.next === 'stop' ? 'stopped' : 'restarting';
    case 'backoff':
      return 'restarting';
    default:
      // The first load has not been done: a new start, whatever the epoch.
      return gang.card === null ? 'starting' : 'restarting';
  }
}
