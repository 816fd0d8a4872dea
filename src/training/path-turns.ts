/** What is asked of one path is done in the order in which it was asked; paths do not wait for each other. */
export class PathTurns {
  /** Path → the end of what was asked of it last; never rejects. */
  readonly #ends = new Map<string, Promise<void>>();

  /** Whether something is under way there. */
  busy(path: string): boolean {
    return this.#ends.has(path);
  }

  /** When nothing is under way there, `act` is called at once. */
  async take<T>(path: string, act: () => Promise<T>): Promise<T> {
    const before = this.#ends.get(path);
    const result = before === undefined ? act() : before.then(act);
    const over = (): void => {
      if (this.#ends.get(path) === end) this.#ends.delete(path);
    };
    const end = result.then(over, over);
    this.#ends.set(path, end);
    return await result;
  }
}
