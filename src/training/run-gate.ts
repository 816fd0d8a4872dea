/** Lets the requests of a run through in their order; one that waits for something holds up those behind it. */
interface Item {
  /** What it waits for; null: nothing but those before it. */
  readonly ready: Promise<unknown> | null;
}

export class RunGate<T extends Item> {
  readonly #waiting: T[] = [];

  /** @param refused what one waited for has failed */
  constructor(
    private readonly pass: (item: T) => void,
    private readonly refused: (item: T, error: unknown) => void,
  ) {}

  /** At once, if nothing is to be waited for. */
  offer(item: T): void {
    this.#waiting.push(item);
    if (this.#waiting.length === 1) this.#go();
  }

  /** The one that the others wait for; null: nothing waits. */
  get first(): T | null {
    return this.#waiting[0] ?? null;
  }

  /** Those that wait, which are not let through any more. */
  clear(): T[] {
    return this.#waiting.splice(0);
  }

  #go(): void {
    for (let head = this.#waiting[0]; head !== undefined; head = this.#waiting[0]) {
      if (head.ready !== null) {
        this.#await(head, head.ready);
        return;
      }
      this.#waiting.shift();
      this.pass(head);
    }
  }

  #await(head: T, ready: Promise<unknown>): void {
    const over = (act: (item: T) => void): void => {
      if (this.#waiting[0] !== head) return; // cleared meanwhile
      this.#waiting.shift();
      act(head);
      this.#go();
    };
    ready.then(
      () => over(this.pass),
      (error: unknown) => over((item) => this.refused(item, error)),
    );
  }
}
