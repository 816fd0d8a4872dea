/** The order of one run's requests: numbers 1, 2, 3 …; what comes early is held until all before it are there. Pure. */

export class Sequencer<T> {
  /** Number that is waited for. */
  #next: number;
  /** Null: the number is used up, and there is nothing to do for it. */
  readonly #held = new Map<number, T | null>();

  /** @param first number that is waited for */
  constructor(first = 1) {
    this.#next = first;
  }

  /** The first number that has not come; all before it have. */
  get next(): number {
    return this.#next;
  }

  /** Requests that wait for one before them. */
  get held(): number {
    return this.#held.size;
  }

  /** Whether that number has come before. */
  has(seqId: number): boolean {
    return seqId < this.#next || this.#held.has(seqId);
  }

  /** Forget what is held. Returns it. */
  clear(): T[] {
    const held = [...this.#held.values()].filter((item) => item !== null);
    this.#held.clear();
    return held;
  }

  /**
   * A request came, or with null one that was refused: its number is used up all the same.
   * @returns what may be done now, in order
   */
  offer(seqId: number, item: T | null): T[] {
    if (this.has(seqId)) return [];
    this.#held.set(seqId, item);
    const ready: T[] = [];
    for (; this.#held.has(this.#next); this.#next += 1) {
      const next = this.#held.get(this.#next) as T | null;
      this.#held.delete(this.#next);
      if (next !== null) ready.push(next);
    }
    return ready;
  }
}
