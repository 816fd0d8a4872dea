/** Samples that a server before this one was asked for and did not answer: computed again, as soon as their model takes them. */
import { asTwinkleError } from '../errors.js';
import { failureOf } from './failure.js';
import type { Future } from './futures.js';
import type { SampleRun } from './sample-run.js';
import type { FutureFailure, SampleRequest } from './types.js';

/** Where nobody says when a model will take them. */
const RETRY_MS = 250;

export interface Sampling {
  /** Compute an answer. @throws what `Inference.generate` throws, `SAMPLER_NOT_FOUND` */
  start(future: Future, request: SampleRequest): SampleRun;
  /** There will be no other answer. */
  failed(future: Future, request: SampleRequest, why: FutureFailure): void;
}

export class SampleAgain implements Disposable {
  /** In the order in which they were asked for. */
  #waiting: Future[] = [];
  readonly #running = new Map<string, SampleRun>();
  #timer: NodeJS.Timeout | null = null;

  constructor(private readonly sampling: Sampling) {}

  begin(future: Future): void {
    this.#waiting.push(future);
    if (this.#timer === null) this.#go();
  }

  /** Nobody wants the answer of that request any more. */
  abort(id: string): void {
    this.#running.get(id)?.abort();
  }

  /** That request is not known any more. */
  forget(id: string): void {
    this.#running.delete(id);
  }

  [Symbol.dispose](): void {
    this.#waiting = [];
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #go(): void {
    this.#timer = null;
    for (let future = this.#waiting[0]; future !== undefined; future = this.#waiting[0]) {
      const waitMs = this.#tried(future);
      if (waitMs !== null) {
        this.#timer = setTimeout(() => this.#go(), waitMs).unref();
        return;
      }
      this.#waiting.shift();
    }
  }

  /** @returns after how long to try again; null: it runs, or has failed for good */
  #tried(future: Future): number | null {
    const request = 'sampler' in future.purpose ? future.purpose.request : null;
    if (future.answer !== null || request === null) return null;
    try {
      this.#running.set(future.id, this.sampling.start(future, request));
      return null;
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      // A full queue, a model that still starts.
      if (error.retryAfterMs !== null) return Math.min(error.retryAfterMs, RETRY_MS);
      this.sampling.failed(future, request, failureOf(error));
      return null;
    }
  }
}
