/** A sorted list in short runs: adding, removing and searching cost the length of a run, not that of the list. Knows nothing of nodes. */

const LONGEST_RUN = 128;

/** Items in the order of `compare`; no two of them may compare equal. */
export class SortedList<T> {
  readonly #compare: (a: T, b: T) => number;
  readonly #runs: T[][] = [];

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get first(): T | null {
    return this.#runs[0]?.[0] ?? null;
  }

  add(item: T): void {
    const at = Math.min(this.#runOf(item, false), this.#runs.length - 1);
    const run = this.#runs[at];
    if (run === undefined) {
      this.#runs.push([item]);
      return;
    }
    const place = this.#placeIn(run, item, false);
    // Unlike `splice`, this leaves nothing to collect.
    run.push(item);
    run.copyWithin(place + 1, place, run.length - 1);
    run[place] = item;
    if (run.length > LONGEST_RUN) this.#runs.splice(at + 1, 0, run.splice(run.length / 2));
  }

  /** Remove the item that compares equal. */
  delete(item: T): void {
    const at = this.#runOf(item, true);
    const run = this.#runs[at];
    if (run === undefined) return;
    const place = this.#placeIn(run, item, true);
    if (this.#compare(run[place] as T, item) !== 0) return;
    run.copyWithin(place, place + 1);
    run.pop();
    if (run.length === 0) this.#runs.splice(at, 1);
  }

  /** The first item of all, or the first behind `bound`, which need not be in the list. Null: there is none. */
  after(bound: T | null): T | null {
    if (bound === null) return this.first;
    const run = this.#runs[this.#runOf(bound, false)];
    return run === undefined ? null : (run[this.#placeIn(run, bound, false)] as T);
  }

  /** The first run with an item behind `bound`, or at it if `equal`; the number of runs when there is none. */
  #runOf(bound: T, equal: boolean): number {
    const runs = this.#runs;
    let low = 0;
    let high = runs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const run = runs[middle] as T[];
      const order = this.#compare(run[run.length - 1] as T, bound);
      if (order > 0 || (equal && order === 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The first place of a run with an item behind `bound`, or at it if `equal`; its length when there is none. */
  #placeIn(run: readonly T[], bound: T, equal: boolean): number {
    let low = 0;
    let high = run.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const order = this.#compare(run[middle] as T, bound);
      if (order > 0 || (equal && order === 0)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
