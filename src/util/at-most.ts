/** So much at a time, the rest in its order. */
export class AtMost {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly limit: number) {}

  async run<T>(act: () => Promise<T>): Promise<T> {
    if (this.#running >= this.limit) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running += 1;
    try {
      return await act();
    } finally {
      const next = this.#waiting.shift(); // gets this one's place
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
