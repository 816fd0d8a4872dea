/** Jobs of one key run one after the other, those of different keys side by side. */

export class KeyedChain {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Run `job` after those of the same key that came before, whatever became of them. A key without jobs costs nothing. */
  run<T>(key: string, job: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const result = before === undefined ? job() : before.then(job);
    const tail = result.then(
      () => {},
      () => {},
    );
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }
}
