/**
 * The turns on the devices of one model, of its replicas and of the ranks that train it: lets in what each side has to do, when it is its turn. When that
 * is, `turn-rules.ts` knows; how replicas sleep, and who asks, whoever makes it.
 */
import { TwinkleError } from '../errors.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { decide, TURN_RULES, type Turn, type TurnPhase, type TurnRules } from './turn-rules.js';

/** The two sides, as turns need them. None of the promises rejects. */
export interface TurnSides {
  /** Requests on the replicas, and those that wait for them. */
  requests(): { readonly running: number; readonly waiting: number };
  /** Whether a replica loads; with `asleep`, also whether one is awake. */
  loading(asleep: boolean): boolean;
  /** Whether a replica takes requests, or none is about to. */
  open(): boolean;
  /** Replicas take no requests from now on. */
  shut(): void;
  sleep(): Promise<void>;
  wake(): Promise<void>;
  /** The phase is another one. */
  changed(phase: TurnPhase): void;
}

export interface DeviceTurnsOptions {
  readonly sides: TurnSides;
  readonly rules?: TurnRules;
  nowMs(): number;
}

/** Something that waits for its turn. */
interface Waiting {
  start(): void;
  refuse(error: TwinkleError): void;
}

/** What one side has to do besides requests. */
class Side {
  readonly waiting: Waiting[] = [];
  running = 0;
  lastMs = Number.NEGATIVE_INFINITY;
  #wasBusy = false;

  /** What it has to do now. */
  wish(nowMs: number, requests = { running: 0, waiting: 0 }) {
    const running = this.running + requests.running;
    const waiting = this.waiting.length + requests.waiting;
    const busy = running + waiting > 0;
    if (busy || this.#wasBusy) this.lastMs = nowMs;
    this.#wasBusy = busy;
    return { running, waiting, lastMs: this.lastMs };
  }
}

export class DeviceTurns implements Disposable {
  /** Has the ranks that train give back memory that they do not need between turns. */
  release: () => Promise<void> = async () => {};
  #turn: Turn;
  readonly #sampling = new Side();
  readonly #training = new Side();
  #opens: Deferred<void> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #looking = false;
  #over: TwinkleError | null = null;

  constructor(private readonly options: DeviceTurnsOptions) {
    this.#turn = { phase: 'sampling', sinceMs: options.nowMs() };
  }

  get phase(): TurnPhase {
    return this.#turn.phase;
  }

  /** Unix ms: when the phase began. */
  get since(): number {
    return Math.round(Date.now() - (this.options.nowMs() - this.#turn.sinceMs));
  }

  /** What waits for replicas, besides requests. */
  get waitingToSample(): number {
    return this.#sampling.waiting.length;
  }

  /** What waits for the turn of the ranks that train. */
  get waitingToTrain(): number {
    return this.#training.waiting.length;
  }

  /** Do it in a turn of training. Jobs begin in the order of these calls. @throws what it throws; `DRAINING` when there are no more turns */
  train<T>(job: () => Promise<T>): Promise<T> {
    return this.#ask(this.#training, () => this.phase === 'training', job);
  }

  /** Do it in whatever turn, behind what waits to {@link train}: it needs little memory. */
  beside<T>(job: () => Promise<T>): Promise<T> {
    return this.#training.waiting.length > 0 ? this.train(job) : job();
  }

  /** Do it while replicas are awake and take requests, or none is about to. @throws as {@link train} */
  sample<T>(job: () => Promise<T>): Promise<T> {
    return this.#ask(this.#sampling, () => this.#maySample(), job);
  }

  /** Resolves when replicas may take requests. */
  whenOpen(): Promise<void> {
    if (this.phase === 'sampling') return Promise.resolve();
    this.#opens ??= deferred();
    return this.#opens.promise;
  }

  /** To be called when anything has changed that turns depend on. */
  look(): void {
    if (this.#looking || this.#over !== null) return;
    this.#looking = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    try {
      while (this.#next());
    } finally {
      this.#looking = false;
    }
  }

  /** There are no more turns: what waits is refused. */
  [Symbol.dispose](): void {
    this.#over ??= new TwinkleError('DRAINING', 'the server is shutting down');
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { waiting } of [this.#sampling, this.#training])
      for (const one of waiting.splice(0)) one.refuse(this.#over);
  }

  /** @returns whether the phase is another one now */
  #next(): boolean {
    const { nowMs, rules = TURN_RULES, sides } = this.options;
    const now = nowMs();
    const { phase } = this.#turn;
    if (phase === 'training') this.#start(this.#training);
    if (this.#sampling.waiting.length > 0 && this.#maySample()) this.#start(this.#sampling);
    const wishes = {
      sampling: this.#sampling.wish(now, sides.requests()),
      training: this.#training.wish(now),
      loading: sides.loading(phase === 'training' || phase === 'ending'),
    };
    const { lookAtMs, phase: next } = decide(this.#turn, wishes, now, rules);
    if (next !== phase) {
      this.#enter(next);
      return true;
    }
    const unopened = phase === 'sampling' && this.#sampling.waiting.length > 0 ? this.#openByMs() : null;
    const times = [lookAtMs, unopened].filter((time) => time !== null);
    if (times.length > 0) this.#timer = setTimeout(() => this.look(), Math.max(1, Math.min(...times) - now)).unref();
    return false;
  }

  #maySample(): boolean {
    return this.phase === 'sampling' && (this.options.sides.open() || this.options.nowMs() >= this.#openByMs());
  }

  /** Replicas that do not open until then will not. */
  #openByMs(): number {
    return this.#turn.sinceMs + (this.options.rules ?? TURN_RULES).holdMs;
  }

  #enter(phase: TurnPhase): void {
    const { nowMs, sides } = this.options;
    this.#turn = { phase, sinceMs: nowMs() };
    sides.changed(phase);
    if (phase === 'closing') sides.shut();
    else if (phase === 'falling-asleep') void this.#then(sides.sleep(), 'training');
    else if (phase === 'waking') {
      void this.#then(
        this.release().then(() => sides.wake()),
        'sampling',
      );
    } else if (phase === 'sampling') {
      this.#opens?.resolve();
      this.#opens = null;
    }
  }

  async #then(done: Promise<void>, phase: TurnPhase): Promise<void> {
    await done;
    this.#enter(phase);
    this.look();
  }

  #start(side: Side): void {
    for (const { start } of side.waiting.splice(0)) start();
  }

  #ask<T>(side: Side, may: () => boolean, job: () => Promise<T>): Promise<T> {
    if (this.#over !== null) return Promise.reject(this.#over);
    return new Promise<T>((resolve, reject) => {
      const start = (): void => {
        side.running += 1;
        job()
          .then(resolve, reject)
          .finally(() => {
            side.running -= 1;
            this.look();
          });
      };
      if (side.waiting.length === 0 && may()) start();
      else side.waiting.push({ start, refuse: reject });
      this.look();
    });
  }
}
