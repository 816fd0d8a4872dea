/**
 * A push source as an AsyncIterable: bounded by telling the source to pause, ended or failed by it, cancelled by its reader.
 * As with a generator, calls of `next` may overlap, and `return` ends those that wait.
 */
import { type Deferred, deferred } from './deferred.js';

export interface AsyncQueueHooks {
  /** More than `high` items wait (true), or the reader has caught up (false). */
  pause(paused: boolean): void;
  /** The reader stopped early: nothing more is wanted. */
  cancel(): void;
}

export class AsyncQueue<T> implements AsyncIterableIterator<T> {
  readonly #items: T[] = [];
  readonly #hooks: AsyncQueueHooks;
  readonly #high: number;
  readonly #waiters: Deferred<IteratorResult<T>>[] = [];
  #over: { readonly error: unknown } | true | null = null;
  #paused = false;

  constructor(hooks: AsyncQueueHooks, high = 64) {
    this.#hooks = hooks;
    this.#high = high;
  }

  push(item: T): void {
    if (this.#over !== null) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      waiter.resolve({ value: item, done: false });
      return;
    }
    this.#items.push(item);
    if (!this.#paused && this.#items.length >= this.#high) {
      this.#paused = true;
      this.#hooks.pause(true);
    }
  }

  /** No more items will come. */
  end(): void {
    if (this.#over !== null) return;
    this.#over = true;
    this.#dismiss();
  }

  /** Readers get what is queued, then `error`. */
  fail(error: unknown): void {
    if (this.#over !== null) return;
    const waiter = this.#waiters.shift();
    this.#over = waiter === undefined ? { error } : true;
    waiter?.reject(error);
    this.#dismiss();
  }

  async next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) {
      if (this.#paused && this.#items.length === 0) {
        this.#paused = false;
        this.#hooks.pause(false);
      }
      return { value: item, done: false };
    }
    if (this.#over === true) return { value: undefined, done: true };
    if (this.#over !== null) {
      const { error } = this.#over;
      this.#over = true;
      throw error;
    }
    const waiter = deferred<IteratorResult<T>>();
    this.#waiters.push(waiter);
    return await waiter.promise;
  }

  async return(): Promise<IteratorResult<T>> {
    if (this.#over === null) this.#hooks.cancel();
    this.#over = true;
    this.#items.length = 0;
    this.#dismiss();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Readers that still wait learn that nothing comes. */
  #dismiss(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ value: undefined, done: true });
  }
}
