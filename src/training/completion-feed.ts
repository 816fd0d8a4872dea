/** The order in which answers came, for one client that asks for all of them at once. */
import type { Completion, Listener } from './types.js';
import { Waiters } from './waiters.js';

/** A client that never asks must not cost more. */
const MAX_KEPT = 10_000;

export class Feed {
  #kept: Completion[] = [];
  /** How many came before the first that is kept. */
  #dropped: number;
  readonly #waiters = new Waiters();

  /** @param first cursor of its beginning: to whom a lower one was given, by a server before this one, everything is new */
  constructor(first = 0) {
    this.#dropped = first;
  }

  get cursor(): number {
    return this.#dropped + this.#kept.length;
  }

  add(completion: Completion): void {
    this.#kept.push(completion);
    if (this.#kept.length > MAX_KEPT) this.#drop(this.#dropped + MAX_KEPT / 2);
    this.#waiters.wake();
  }

  /** What came after the first `after` ones; they are forgotten. */
  after(after: number): readonly Completion[] {
    this.#drop(Math.min(after, this.cursor));
    return [...this.#kept];
  }

  /** Resolves with the next one, after `ms`, or when `listener` has gone. */
  async wait(ms: number, listener?: Listener): Promise<void> {
    await this.#waiters.wait(ms, listener);
  }

  #drop(until: number): void {
    if (until <= this.#dropped) return;
    this.#kept.splice(0, until - this.#dropped);
    this.#dropped = until;
  }
}
