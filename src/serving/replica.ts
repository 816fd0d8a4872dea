/** A replica of a model: one gang, and what runs on it. */
import { TwinkleError } from '../errors.js';
import type { GangState } from '../supervisor/gang-machine.js';
import type { Channel } from '../transport/channel.js';
import type { Ticket } from './ticket.js';
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

  constructor(
    readonly id: string,
    readonly gang: ReplicaGang,
    private readonly describeRanks: () => ReplicaStatus['ranks'],
  ) {}

  /** Choices that run here. */
  get width(): number {
    return this.#width;
  }

  /** Whether a ticket of `width` choices may be sent now; an empty replica takes any. */
  hasRoom(width: number): boolean {
    const { card, lead } = this.gang;
    if (lead === null || card === null) return false;
    return this.#width === 0 || this.#width + width <= Math.ceil(card.max_num_seqs * (1 + AHEAD));
  }

  run(ticket: Ticket): void {
    const { lead } = this.gang;
    if (lead === null) throw new TwinkleError('NOT_READY', `replica ${this.id} is not ready`);
    ticket.attach(this.id, lead.open('generate', ticket.params, ticket));
    this.#width += ticket.width;
  }

  /** A ticket that ran here is over, or goes elsewhere. */
  left(ticket: Ticket): void {
    this.#width -= ticket.width;
  }

  status(): ReplicaStatus {
    const { gang } = this;
    return {
      id: this.id,
      state: modelState(gang),
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
