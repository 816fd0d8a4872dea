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
    const at = Math.min(this.#runAfter(item), this.#runs.length - 1);
    const run = this.#runs[at];
    if (run === undefined) {
      this.#runs.push([item]);
      return;
    }
    run.splice(this.#placeAfter(run, item), 0, item);
    if (run.length > LONGEST_RUN) this.#runs.splice(at + 1, 0, run.splice(run.length / 2));
  }

  /** Remove the item that compares equal. */
  delete(item: T): void {
    const at = lowest(this.#runs.length, (run) => this.#compare(this.#last(run), item) >= 0);
    const run = this.#runs[at];
    if (run === undefined) return;
    const place = lowest(run.length, (index) => this.#compare(run[index] as T, item) >= 0);
    const found = run[place];
    if (found === undefined || this.#compare(found, item) !== 0) return;
    run.splice(place, 1);
    if (run.length === 0) this.#runs.splice(at, 1);
  }

  /** The first item of all, or the first behind `bound`, which need not be in the list. Null: there is none. */
  after(bound: T | null): T | null {
    if (bound === null) return this.first;
    const run = this.#runs[this.#runAfter(bound)];
    return run === undefined ? null : (run[this.#placeAfter(run, bound)] ?? null);
  }

  /** The first run whose last item is behind. */
  #runAfter(bound: T): number {
    return lowest(this.#runs.length, (run) => this.#compare(this.#last(run), bound) > 0);
  }

  #placeAfter(run: readonly T[], bound: T): number {
    return lowest(run.length, (index) => this.#compare(run[index] as T, bound) > 0);
  }

  #last(run: number): T {
    const items = this.#runs[run] as T[];
    return items[items.length - 1] as T;
  }
}

/** The lowest index for which `holds`, which stays true from there on; `length` when there is none. */
function lowest(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
