/** A load over the last while as one number. Pure: the clock is given. */

/** What becomes of the loads of a window. */
export type Aggregation = 'mean' | 'max' | 'min';

interface Step {
  readonly atMs: number;
  readonly load: number;
}

export class LoadWindow {
  /** From each time on, that load. The first may be older than the window. */
  readonly #steps: Step[] = [];

  constructor(
    private readonly lengthMs: number,
    private readonly aggregation: Aggregation,
  ) {}

  /** From now on it is `load`. Times must not go back. */
  set(nowMs: number, load: number): void {
    if (this.#steps.at(-1)?.load === load) return;
    this.#steps.push({ atMs: nowMs, load });
    this.#forget(nowMs);
  }

  /** Mean (weighted by time), maximum or minimum of the window; of the time since the first load while that is shorter. 0 before. */
  value(nowMs: number): number {
    this.#forget(nowMs);
    const from = nowMs - this.lengthMs;
    const loads = this.#steps.map(({ load }) => load);
    const last = loads.at(-1);
    if (last === undefined) return 0;
    if (this.aggregation === 'max') return Math.max(...loads);
    if (this.aggregation === 'min') return Math.min(...loads);
    let area = 0;
    let time = 0;
    this.#steps.forEach(({ atMs, load }, at) => {
      const span = (this.#steps[at + 1]?.atMs ?? nowMs) - Math.max(atMs, from);
      area += load * span;
      time += span;
    });
    return time === 0 ? last : area / time;
  }

  /** Steps that ended before the window began. */
  #forget(nowMs: number): void {
    const from = nowMs - this.lengthMs;
    const ended = this.#steps.findIndex((_, at) => (this.#steps[at + 1]?.atMs ?? Number.POSITIVE_INFINITY) > from);
    if (ended > 0) this.#steps.splice(0, ended);
  }
}
