/**
 * Who is on the ranks of one model: so many at most. One more waits until the one that was idle longest has made room. Knows nothing of how one goes
 * and comes.
 */

export interface SlotRules<R> {
  /** On the ranks at a time. */
  readonly limit: number;
  nowMs(): number;
  /** Take it off the ranks. Ends with {@link RunSlots.leave}, or with {@link RunSlots.stays} when that cannot be. */
  park(run: R): void;
}

/** Taken off at a time because nobody asked anything of them. */
const IDLE_AT_A_TIME = 4;

export class RunSlots<R extends object> {
  readonly #held = new Set<R>();
  /** Those with nothing to do, the longest idle first → since when. */
  readonly #idle = new Map<R, number>();
  readonly #parking = new Set<R>();
  /** In the order in which they came → tells whether there is room, or nobody wants it any more. */
  readonly #waiting = new Map<R, (room: boolean) => void>();
  /** One could not be taken off: the others can hardly be. */
  #resting = false;
  #emptySince: number;

  constructor(private readonly rules: SlotRules<R>) {
    this.#emptySince = rules.nowMs();
  }

  /** Those on the ranks, or on their way there or off. */
  get held(): ReadonlySet<R> {
    return this.#held;
  }

  /** Whether anybody waits for room. */
  get wanted(): boolean {
    return this.#waiting.size > 0;
  }

  /** Whether there has been nobody for so long. */
  emptyFor(ms: number): boolean {
    return this.#held.size === 0 && this.rules.nowMs() - this.#emptySince >= ms;
  }

  waits(run: R): boolean {
    return this.#waiting.has(run);
  }

  /** Resolves when there is room for it, which is its own until it leaves; to false when it left before. */
  async take(run: R): Promise<boolean> {
    if (this.#held.size < this.rules.limit) {
      this.#held.add(run);
      return true;
    }
    return await new Promise((resolve) => {
      this.#waiting.set(run, resolve);
      this.#makeRoom();
    });
  }

  /** It has nothing to do, and can be taken off. */
  idle(run: R): void {
    if (!this.#held.has(run)) return;
    this.#idle.delete(run);
    this.#idle.set(run, this.rules.nowMs());
    this.#makeRoom();
  }

  busy(run: R): void {
    this.#idle.delete(run);
  }

  /** It is not taken off after all. To be called before it is {@link idle} again. */
  stays(run: R): void {
    this.#parking.delete(run);
  }

  /** None can be taken off now: not before the next {@link sweep}. */
  rest(): void {
    this.#resting = true;
  }

  /** It is off the ranks, or wants nothing any more. */
  leave(run: R): void {
    this.#waiting.get(run)?.(false);
    this.#waiting.delete(run);
    this.#idle.delete(run);
    this.#parking.delete(run);
    if (!this.#held.delete(run)) return;
    const [first] = this.#waiting;
    if (first === undefined) {
      if (this.#held.size === 0) this.#emptySince = this.rules.nowMs();
      return;
    }
    const [next, come] = first;
    this.#waiting.delete(next);
    this.#held.add(next);
    come(true);
  }

  /** Take off those that have been idle for so long, and try again what could not be done. To be called now and then. */
  sweep(idleMs: number): void {
    this.#resting = false;
    this.#makeRoom();
    const before = this.rules.nowMs() - idleMs;
    for (const [run, since] of this.#idle) {
      if (this.#resting || since > before || this.#parking.size >= IDLE_AT_A_TIME) return;
      this.#park(run);
    }
  }

  #makeRoom(): void {
    for (const run of this.#idle.keys()) {
      if (this.#resting || this.#parking.size >= this.#waiting.size) return;
      this.#park(run);
    }
  }

  #park(run: R): void {
    this.#idle.delete(run);
    this.#parking.add(run);
    this.rules.park(run);
  }
}
