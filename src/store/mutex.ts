/** One piece of asynchronous work at a time. */
import { deferred } from '../util/deferred.js';

export class Mutex {
  /** Settles when the present owner is done. */
  #owner: Promise<void> | null = null;

  get taken(): boolean {
    return this.#owner !== null;
  }

  /** Run `work` when nobody else does: at once when free. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    while (this.#owner !== null) await this.#owner;
    const turn = deferred<void>();
    this.#owner = turn.promise;
    try {
      return await work();
    } finally {
      this.#owner = null;
      turn.resolve();
    }
  }
}
