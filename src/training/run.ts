/** One run: its requests in their order, and what becomes of it when its ranks are gone. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import { encodeForwardBackwardOutput } from '../protocol/tinker/forward-backward-output.js';
import type { TrainOutcome } from '../protocol/training.js';
import { failureOf } from './failure.js';
import type { Future } from './futures.js';
import { Sequencer } from './sequencer.js';
import type { Session } from './sessions.js';
import type { Trainer } from './trainer.js';
import type { Operation, QueuedRun, TrainerQueue } from './trainer-queue.js';
import type { ComputeRequest, FutureFailure, FutureResult, NewRun, StepRequest } from './types.js';

/** A request that has not come by then will not: those behind it go on. The SDK sends what was lost again within seconds. */
const HOLE_MS = 120_000;

/** A request of a run: to be made an operation once the run is there. */
interface Asked {
  readonly operation: Operation & { failed(error: unknown): void };
}

/** Where a run's work goes. */
export interface RunPlace {
  readonly trainer: Trainer;
  readonly queue: TrainerQueue;
}

export class Run implements QueuedRun {
  readonly waiting: QueuedRun['waiting'] = [];
  /** Number of the request → its future. */
  readonly requests = new Map<number, Future>();
  lastRequest = Date.now();
  /** Why its weights are gone; null: they are not. */
  loss: TwinkleError | null = null;
  readonly #order = new Sequencer<Asked>();
  /** In order, while the run is being made. */
  #early: Asked[] = [];
  #place: RunPlace | null = null;
  #hole: NodeJS.Timeout | null = null;

  constructor(
    readonly id: string,
    readonly session: Session,
    readonly spec: NewRun,
    readonly created: Future,
  ) {}

  /** It has been made: what was asked for can begin. */
  begin(place: RunPlace): void {
    this.#place = place;
    for (const asked of this.#early.splice(0)) this.#dispatch(asked);
  }

  /** It will not be, or is no more: what waits fails. */
  lose(error: TwinkleError): void {
    this.loss ??= error;
    for (const { operation } of this.#order.clear()) operation.failed(this.loss);
    if (this.#hole !== null) clearTimeout(this.#hole);
    for (const { operation } of this.#early.splice(0)) operation.failed(this.loss);
  }

  /** Its ranks, if it was made. */
  get trainer(): Trainer | null {
    return this.#place?.trainer ?? null;
  }

  /** Whether a request of that number came. */
  has(seqId: number): boolean {
    return this.#order.has(seqId);
  }

  /** The number is used up, and there is nothing to do for it. */
  refuse(seqId: number): void {
    this.#take(seqId, null);
  }

  compute({ seqId, work }: ComputeRequest, future: Future): void {
    const tokens = work.lengths.reduce((sum, length) => sum + length, 0);
    this.#offer(seqId, {
      kind: 'pass',
      work: { run: this.id, ...work },
      tokens,
      done: (outcome) => future.settle(answerOf(outcome)),
      failed: (error) => future.settle(this.#failure(error)),
    });
  }

  step({ adam, seqId }: StepRequest, future: Future): void {
    this.order(seqId, future, async (trainer) => await trainer.call('train_step', { run: this.id, ...adam }));
  }

  /** Something that takes its turn; what it resolves to is the answer, as JSON. */
  order(seqId: number, future: Future, act: (trainer: Trainer) => Promise<object>): void {
    this.#offer(seqId, {
      kind: 'call',
      send: async (trainer) => future.settle(jsonAnswer(await act(trainer))),
      failed: (error) => future.settle(this.#failure(error)),
    });
  }

  #offer(seqId: number, operation: Asked['operation']): void {
    this.lastRequest = Date.now();
    if (this.loss === null) this.#take(seqId, { operation });
    else operation.failed(this.loss);
  }

  #take(seqId: number, asked: Asked | null): void {
    for (const ready of this.#order.offer(seqId, asked)) this.#dispatch(ready);
    if (this.#hole !== null) clearTimeout(this.#hole);
    const { held, next } = this.#order;
    this.#hole = held === 0 ? null : setTimeout(() => this.refuse(next), HOLE_MS).unref();
  }

  #dispatch(asked: Asked): void {
    if (this.loss !== null) asked.operation.failed(this.loss);
    else if (this.#place === null) this.#early.push(asked);
    else this.#place.queue.add(this, asked.operation);
  }

  /** Ranks that broke have taken the weights with them. */
  #failure(thrown: unknown): FutureFailure {
    const error = asTwinkleError(thrown);
    if (error.code === 'RANK_FAILED' || error.code === 'CHANNEL_CLOSED') this.lose(lostWith(this.id, error));
    return failureOf(error);
  }
}

/** The weights of a run are gone. */
export function lostWith(run: string, cause: TwinkleError): TwinkleError {
  return new TwinkleError(
    'RANK_FAILED',
    `run \`${run}\` lost its weights (${cause.message}): begin anew, from a saved state if there is one`,
    { cause },
  );
}

/** JSON as the answer of a request. */
export function jsonAnswer(value: object): FutureResult {
  return { kind: 'json', bytes: Buffer.from(JSON.stringify(value)) };
}

function answerOf({ failure, metrics, outputs, shapes }: TrainOutcome): FutureResult | FutureFailure {
  if (failure !== null) return { error: failure.message, category: failure.user ? 'user' : 'server' };
  return { kind: 'protobuf', bytes: encodeForwardBackwardOutput({ shapes, fields: outputs, metrics }) };
}
