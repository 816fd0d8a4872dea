/** A gang that runs where a placement group put it: serving sees it wait for its place, run there, or lose it for good. */
import { TwinkleError } from '../errors.js';
import type { Replica } from '../serving/replica.js';
import type { Gang } from '../supervisor/gang.js';
import type { Failure, GangState } from '../supervisor/gang-machine.js';
import type { RankPlace } from '../supervisor/rank-environment.js';

/** What serving needs of a gang. */
type Served = Replica['gang'];

export class PlacedGang implements Served {
  /** `parked`: nobody wants it to run. `waiting`: its group has no place for it. A failure: it never will. */
  #place: 'parked' | 'waiting' | 'here' | Failure = 'waiting';

  /** Id of its placement group; null: none yet. */
  group: string | null = null;

  /** Why there will be no place for it; null while there is or may be one. */
  loss: TwinkleError | null = null;

  constructor(readonly gang: Gang) {}

  get state(): GangState {
    if (this.#place === 'here') return this.gang.state;
    if (this.#place === 'parked') return { at: 'stopped' };
    return this.#place === 'waiting' ? { at: 'idle' } : { at: 'failed', failure: this.#place };
  }

  get epoch(): number {
    return this.gang.epoch;
  }

  get restarts(): number {
    return this.gang.restarts;
  }

  get card(): Served['card'] {
    return this.gang.card;
  }

  get stats(): Served['stats'] {
    return this.gang.stats;
  }

  get lead(): Served['lead'] {
    return this.gang.lead; // none from the moment when it is told to leave
  }

  /** False while the group has no place for it. */
  get placed(): boolean {
    return this.#place === 'here';
  }

  /** True: it is not to run. */
  get parked(): boolean {
    return this.#place === 'parked';
  }

  /** It is wanted: it waits for a place. */
  unpark(): void {
    if (this.parked) this.#place = 'waiting';
  }

  /** It is not wanted (any more): end the ranks, if there are any. */
  async park(): Promise<void> {
    this.#place = 'parked';
    this.group = null;
    this.loss = null;
    await this.#end('it is not needed any more');
  }

  /** Start the ranks in these places. The gang must have ended before, or never have been started. */
  run(places: readonly RankPlace[]): void {
    this.#place = 'here';
    this.gang.start(places);
  }

  /** The place is gone: end the ranks. Requests that have not begun wait for the next place. */
  async leave(reason: string): Promise<void> {
    this.#place = 'waiting';
    await this.#end(reason);
  }

  /** There will be no place: end the ranks, and fail. */
  async lose(error: TwinkleError): Promise<void> {
    this.loss = error;
    this.#place = { kind: 'spawn', rank: -1, message: error.message, retry: false };
    await this.#end(error.message);
  }

  async #end(reason: string): Promise<void> {
    if (this.gang.state.at === 'idle') return;
    await this.gang.stop(new TwinkleError('RANK_FAILED', `gang ${this.gang.spec.id}: ${reason}`));
  }
}
