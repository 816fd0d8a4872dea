/**
 * The work of all runs of one base model, on its way to the ranks: of each run in its order, of runs in turn. Forward passes that are ready at
 * the same time go together.
 */
import type { TrainOutcome, TrainWork } from '../protocol/training.js';
import type { Trainer } from './trainer.js';

/** Something to do for a run. */
export type Operation =
  | {
      readonly kind: 'pass';
      readonly work: TrainWork;
      readonly tokens: number;
      sent(): void;
      done(outcome: TrainOutcome): void;
    }
  /** @param trainer to be asked at once */
  | { readonly kind: 'call'; sent(): void; send(trainer: Trainer): Promise<void> };

/** A run as the queue sees it. */
export interface QueuedRun {
  readonly id: string;
  /** What waits, in order. */
  readonly waiting: (Operation & {
    failed(error: unknown): void;
    /** It was given up, and is not to be begun: it fails instead, which nobody hears. */
    abandoned?(): boolean;
  })[];
}
type Queued = QueuedRun['waiting'][number];

/** One is computed while the next is on its way. */
const CALLS_IN_FLIGHT = 2;
/** Tokens of one call; a work that has more goes alone. */
const CALL_TOKENS = 65_536;

export class TrainerQueue {
  /** Runs with something to do, the next first. */
  readonly #turn = new Set<QueuedRun>();
  #inFlight = 0;

  constructor(private readonly trainer: Trainer) {}

  add(run: QueuedRun, operation: Queued): void {
    run.waiting.push(operation);
    this.#turn.add(run);
    this.#pump();
  }

  #pump(): void {
    while (this.#inFlight < CALLS_IN_FLIGHT) {
      for (const run of this.#turn) this.#dropAbandoned(run);
      const [run] = this.#turn;
      if (run === undefined) return;
      if (run.waiting[0]?.kind === 'call') this.#call(run);
      else this.#pass();
    }
  }

  #dropAbandoned(run: QueuedRun): void {
    while (run.waiting[0]?.abandoned?.() === true) run.waiting.shift()?.failed(new Error('it was given up'));
    if (run.waiting.length === 0) this.#turn.delete(run);
  }

  #call(run: QueuedRun): void {
    const operation = this.#take(run);
    if (operation?.kind === 'call') this.#send(operation.send(this.trainer), () => {}, [operation]);
  }

  #pass(): void {
    const batch: Extract<Queued, { kind: 'pass' }>[] = [];
    let tokens = 0;
    for (const run of [...this.#turn]) {
      for (let head = run.waiting[0]; head?.kind === 'pass'; head = run.waiting[0]) {
        if (head.abandoned?.() === true) break; // dropped when its turn comes
        if (batch.length > 0 && tokens + head.tokens > CALL_TOKENS) break;
        this.#take(run);
        batch.push(head);
        tokens += head.tokens;
      }
      if (tokens >= CALL_TOKENS) break;
    }
    const works = batch.map(({ work }) => work);
    const deliver = ({ outcomes }: { outcomes: TrainOutcome[] }): void => {
      batch.forEach((operation, at) => {
        const outcome = outcomes[at];
        if (outcome === undefined)
          operation.failed(new Error(`the ranks sent ${outcomes.length} outcomes for ${batch.length} works`));
        else operation.done(outcome);
      });
    };
    this.#send(this.trainer.call('train_pass', { works }), deliver, batch);
  }

  /** The run's next operation; the run goes to the end of the queue, or out of it. */
  #take(run: QueuedRun): Queued | undefined {
    const operation = run.waiting.shift();
    this.#turn.delete(run);
    if (run.waiting.length > 0) this.#turn.add(run);
    operation?.sent();
    return operation;
  }

  #send<R>(call: Promise<R>, deliver: (result: R) => void, operations: readonly Queued[]): void {
    this.#inFlight += 1;
    void call
      .then(deliver, (error: unknown) => {
        for (const operation of operations) operation.failed(error);
      })
      .finally(() => {
        this.#inFlight -= 1;
        this.#pump();
      });
  }
}
