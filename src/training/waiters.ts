/** Those who wait for something to happen, each for as long as it wants. */

export class Waiters {
  readonly #all = new Set<() => void>();

  /** It happened. */
  wake(): void {
    for (const done of [...this.#all]) done();
  }

  /** Resolves with the next {@link wake}, after `ms`, or when `gone` says that nobody listens any more. */
  async wait(ms: number, gone: AbortSignal): Promise<void> {
    if (gone.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#all.delete(done);
        gone.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      this.#all.add(done);
      gone.addEventListener('abort', done);
    });
  }
}
