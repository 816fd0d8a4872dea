/** Those who wait for something to happen, each for as long as it wants. */
import type { Listener } from './types.js';

export class Waiters {
  readonly #all = new Set<() => void>();

  /** It happened. */
  wake(): void {
    for (const done of [...this.#all]) done();
  }

  /** Resolves with the next {@link wake}, after `ms`, or when `listener` has gone. */
  wait(ms: number, listener?: Listener): Promise<void> {
    return new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#all.delete(done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#all.add(done);
      listener?.(done);
    });
  }
}
