/** One run: its requests in their order, and what becomes of it when its ranks are gone. Knows nothing of who else is on them. */
import { asTwinkleError, type TwinkleError } from '../errors.js';
import type { TrainMetrics, TrainOutcome } from '../protocol/training.js';
import { failureOf } from './failure.js';
import type { Future } from './futures.js';
import { probeOf } from './probe.js';
import { jsonAnswer, type OrderOptions, passAnswer, type RunOperation, tokensOf, tracked } from './run-answers.js';
import { lostWith, ranksGone, withoutGradient } from './run-failures.js';
import { RunGate } from './run-gate.js';
import type { RunKeeper, RunPlace } from './run-keeper.js';
import type { RunProgress } from './run-progress.js';
import { Sequencer } from './sequencer.js';
import type { Session } from './sessions.js';
import { type Timeouts, timed } from './timed-operation.js';
import type { Trainer } from './trainer.js';
import type { QueuedRun, TrainerQueue } from './trainer-queue.js';
import type { RunStatus } from './types/progress.js';
import type { ComputeRequest, FutureFailure, NewRun, RunNote, StepRequest } from './types.js';

/** A request that has not come by then will not: those behind it go on. The SDK sends what was lost again within seconds. */
const HOLE_MS = 120_000;

const NO_TIMEOUTS: Timeouts = { queueTimeoutMs: null, executionTimeoutMs: null };

/** A request of a run: to be made an operation once the run is there. */
interface Asked {
  readonly seqId: number;
  /** A client waits for its answer. */
  readonly answered: boolean;
  readonly operation: RunOperation;
  /** What it waits for in its turn; null: nothing. */
  readonly ready: Promise<unknown> | null;
}

export class Run implements QueuedRun {
  readonly waiting: QueuedRun['waiting'] = [];
  /** Number of the request → its future. */
  readonly requests = new Map<number, Future>();
  /** Unix ms. */
  readonly since = Date.now();
  /** Unix ms. */
  lastRequest = this.since;
  /** Why its weights are gone; null: they are not. */
  loss: TwinkleError | null = null;
  /** Tokens that were trained on last, by which it is compared with what samples from it; null: none yet. */
  probe: Int32Array | null = null;
  /** What its client's API keeps with it. */
  note: RunNote | null = null;
  /** Its ranks have a gradient that no step has used: that is not part of what is saved. */
  unstepped = false;
  /** Such a gradient went with its place on the ranks, and its client has yet to hear of it. */
  gradientDropped = false;
  readonly #order: Sequencer<Asked>;
  /** In order, until what they wait for is here. */
  readonly #gate = new RunGate<Asked>(
    (asked) => this.#dispatch(asked),
    ({ operation }, error) => operation.failed(error),
  );
  /** In order, while the run is not on its ranks. */
  #early: Asked[] = [];
  #place: RunPlace | null = null;
  /** Its weights are, or were, there. */
  made: boolean;
  /** Requests that its ranks have, or that wait for them. */
  #open = 0;
  #hole: NodeJS.Timeout | null = null;

  constructor(
    readonly id: string,
    readonly session: Session,
    readonly spec: NewRun,
    readonly created: Future,
    readonly progress: RunProgress,
    private readonly keeper: RunKeeper,
    /** Number of the first request that no server before this one has done; null: the run has yet to be made. */
    readonly resumedAt: number | null = null,
    private readonly timeouts: Timeouts = NO_TIMEOUTS,
  ) {
    this.made = resumedAt !== null;
    this.#order = new Sequencer(resumedAt ?? 1);
  }

  /** It is on its ranks: what was asked for can begin. */
  begin(place: RunPlace): void {
    this.made = true;
    this.#place = place;
    for (const asked of this.#early.splice(0)) this.#dispatch(asked);
    if (this.#open === 0 && this.loss === null) this.keeper.idle(this);
  }

  /** It goes off its ranks: what is asked for waits from now on. @returns where it was; null: on none */
  leave(): RunPlace | null {
    const place = this.#place;
    this.#place = null;
    return place;
  }

  /** Its gradient is gone: the next request fails, and says so. */
  dropGradient(): void {
    this.unstepped = false;
    this.gradientDropped = true;
    this.progress.gradientDropped();
  }

  /** Its gradient is gone, as its client wished. */
  dropped(): void {
    this.unstepped = false;
    this.progress.gradientDropped();
  }

  /** What waits for its ranks fails; the run stays what it is. */
  failEarly(error: TwinkleError): void {
    for (const { operation } of this.#early.splice(0)) operation.failed(error);
  }

  /** It will not be, or is no more: what waits fails. */
  lose(error: TwinkleError): void {
    this.loss ??= error;
    for (const { operation } of [...this.#gate.clear(), ...this.#order.clear()]) operation.failed(this.loss);
    if (this.#hole !== null) clearTimeout(this.#hole);
    this.failEarly(this.loss);
    this.keeper.lost(this);
  }

  get trainer(): Trainer | null {
    return this.#place?.trainer ?? null;
  }

  /** starting: it has yet to be made; parked: it is off its ranks, or on its way. */
  get state(): RunStatus['state'] {
    if (this.loss !== null || this.trainer?.gone === true) return 'lost';
    return this.#place !== null ? 'ready' : this.made ? 'parked' : 'starting';
  }

  /** Requests that wait for it to be on its ranks. */
  get early(): number {
    return this.#early.length;
  }

  /** Number of the request that it goes on with. */
  get next(): number {
    return this.#early[0]?.seqId ?? this.#gate.first?.seqId ?? this.#order.next;
  }

  has(seqId: number): boolean {
    return this.#order.has(seqId);
  }

  /** The number is used up, and there is nothing to do for it. */
  refuse(seqId: number): void {
    this.#take(seqId, null);
  }

  compute({ seqId, work }: ComputeRequest, future: Future): void {
    const failed = (error: unknown): void => future.settle(this.#failure(error));
    this.#offer(
      seqId,
      this.pass(work, (outcome) => future.settle(passAnswer(outcome)), failed),
    );
  }

  step({ adam, seqId }: StepRequest, future: Future): void {
    const options = { sent: this.progress.taken('step'), limited: true };
    this.order(seqId, future, (trainer) => this.takeStep(trainer, adam), options);
  }

  /** Forward or forward_backward as an operation. @param done also told of one that failed by itself */
  pass(
    work: ComputeRequest['work'],
    done: (outcome: TrainOutcome) => void,
    failed: RunOperation['failed'],
  ): RunOperation {
    return this.timed({
      kind: 'pass',
      work: { run: this.id, ...work },
      tokens: tokensOf(work),
      sent: this.progress.taken('pass'),
      done: (outcome) => {
        this.progress.passed(work, outcome);
        if (outcome.failure === null && !work.forward_only) {
          this.unstepped = true;
          this.probe = probeOf(work);
        }
        done(outcome);
      },
      failed,
    });
  }

  /** Given up when it waits, or is computed, for too long: for what computes. */
  timed(operation: RunOperation): RunOperation {
    return timed(operation, this.timeouts);
  }

  async takeStep(trainer: Trainer, adam: StepRequest['adam']): Promise<TrainMetrics> {
    try {
      const result = await trainer.call('train_step', { run: this.id, ...adam });
      this.progress.stepped(result.metrics);
      this.unstepped = false;
      return result;
    } catch (error) {
      this.progress.stepFailed();
      if (asTwinkleError(error).code === 'NON_FINITE') this.unstepped = false; // ranks have cleared it
      throw error;
    }
  }

  /**
   * Something that takes its turn.
   * @param act the ranks' part: resolves to the answer, as JSON, or to what gives the answer and those behind it need not wait for
   */
  order(
    seqId: number,
    future: Future,
    act: (trainer: Trainer) => Promise<object | (() => Promise<object>)>,
    { limited = false, ready = null, sent = this.progress.taken('other') }: OrderOptions = {},
  ): void {
    const failed = (error: unknown): void => future.settle(this.#failure(error));
    const settle = (answer: object): void => future.settle(jsonAnswer(answer));
    const send = async (trainer: Trainer): Promise<void> => {
      const answer = await act(trainer);
      if (typeof answer === 'function') void (answer as () => Promise<object>)().then(settle, failed);
      else settle(answer);
    };
    const operation: RunOperation = { kind: 'call', sent, send, failed };
    this.#offer(seqId, limited ? this.timed(operation) : operation, ready);
  }

  /** Something to do behind all that was asked for so far. @param failed why it was not done */
  last(act: (trainer: Trainer) => Promise<void>, failed: (error: unknown) => void): void {
    const operation = { kind: 'call', sent() {}, send: act, failed } as const;
    this.#gate.offer({ seqId: this.#order.next, answered: false, operation, ready: null });
  }

  /** Behind all that was asked for so far, without a number. */
  behind(operation: RunOperation): void {
    this.lastRequest = Date.now();
    if (this.loss !== null) operation.failed(this.loss);
    else this.#gate.offer({ seqId: this.#order.next, answered: true, operation, ready: null });
  }

  #offer(seqId: number, operation: Asked['operation'], ready: Asked['ready'] = null): void {
    ready?.catch(() => {}); // its turn may never come
    this.lastRequest = Date.now();
    if (this.loss === null) this.#take(seqId, { seqId, answered: true, operation, ready });
    else operation.failed(this.loss);
  }

  #take(seqId: number, asked: Asked | null): void {
    for (const next of this.#order.offer(seqId, asked)) this.#gate.offer(next);
    if (this.#hole !== null) clearTimeout(this.#hole);
    const { held, next } = this.#order;
    this.#hole = held === 0 ? null : setTimeout(() => this.refuse(next), HOLE_MS).unref();
  }

  #dispatch(asked: Asked): void {
    if (this.loss !== null) asked.operation.failed(this.loss);
    else if (this.#place !== null) this.#send(this.#place.queue, asked);
    else {
      this.#early.push(asked);
      if (this.made) this.keeper.wanted(this);
    }
  }

  #send(queue: TrainerQueue, { answered, operation }: Asked): void {
    // Who has given up would not hear of it.
    if (this.gradientDropped && answered && operation.abandoned?.() !== true) {
      this.gradientDropped = false;
      operation.failed(withoutGradient(this.id));
    } else this.#add(queue, operation);
  }

  #add(queue: TrainerQueue, operation: Asked['operation']): void {
    this.#open += 1;
    if (this.#open === 1) this.keeper.busy(this);
    const over = (): void => {
      this.#open -= 1;
      if (this.#open === 0 && this.#place !== null && this.loss === null) this.keeper.idle(this);
    };
    queue.add(this, tracked(operation, over));
  }

  #failure(thrown: unknown): FutureFailure {
    return failureOf(this.judged(thrown));
  }

  /** Ranks that broke have taken the weights with them. */
  judged(thrown: unknown): TwinkleError {
    const error = asTwinkleError(thrown);
    if (ranksGone(error)) this.lose(lostWith(this.id, error));
    return error;
  }
}
