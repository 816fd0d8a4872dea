/**
 * Who is on the ranks of one model: so many at most, or one that needs all of them. One more waits until those that were idle longest have made room.
 * Knows nothing of how one goes and comes.
 */

export interface SlotRules<R> {
  /** On the ranks at a time. */
  readonly limit: number;
  /** It can be there with nobody else. */
  alone(run: R): boolean;
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
  /** Those with nothing to do, of which something would be lost; as {@link #idle}. */
  readonly #costly = new Map<R, number>();
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
    // Behind those that wait, whatever there is room for: one that has to be alone would wait for ever.
    if (this.#waiting.size === 0 && this.#fits(run)) {
      this.#held.add(run);
      return true;
    }
    return await new Promise((resolve) => {
      this.#waiting.set(run, resolve);
      this.#makeRoom();
    });
  }

  /** It has nothing to do, and can be taken off. @param costly something of it would be lost: it stays while nobody waits, and for a while besides */
  idle(run: R, costly = false): void {
    if (!this.#held.has(run)) return;
    this.busy(run);
    (costly ? this.#costly : this.#idle).set(run, this.rules.nowMs());
    this.#makeRoom();
  }

  busy(run: R): void {
    this.#idle.delete(run);
    this.#costly.delete(run);
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
    this.busy(run);
    this.#parking.delete(run);
    const left = this.#held.delete(run);
    for (const [next, come] of this.#waiting) {
      if (!this.#fits(next)) break;
      this.#waiting.delete(next);
      this.#held.add(next);
      come(true);
    }
    if (left && this.#held.size === 0) this.#emptySince = this.rules.nowMs();
    this.#makeRoom();
  }

  /** Take off those that have been idle for so long, and try again what could not be done. To be called now and then. */
  sweep(idleMs: number): void {
    this.#resting = false;
    this.#makeRoom();
    const before = this.rules.nowMs() - idleMs;
    for (const [run, since] of this.#costly) {
      if (this.#resting || since > before || this.#parking.size >= this.#inTheWay()) break;
      this.#park(run);
    }
    for (const [run, since] of this.#idle) {
      if (this.#resting || since > before || this.#parking.size >= IDLE_AT_A_TIME) return;
      this.#park(run);
    }
  }

  #fits(run: R): boolean {
    const { alone, limit } = this.rules;
    const [one] = this.#held;
    return one === undefined || (this.#held.size < limit && !alone(run) && !alone(one));
  }

  /** How many have to go for those that wait. */
  #inTheWay(): number {
    const [first] = this.#waiting.keys();
    return first !== undefined && this.rules.alone(first) ? this.#held.size : this.#waiting.size;
  }

  #makeRoom(): void {
    for (const run of this.#idle.keys()) {
      if (this.#resting || this.#parking.size >= this.#inTheWay()) return;
      this.#park(run);
    }
  }

  #park(run: R): void {
    this.busy(run);
    this.#parking.add(run);
    this.rules.park(run);
  }
}
