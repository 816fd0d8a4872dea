/** A map that keeps only what was set last: memory of the past, bounded. */

export class RecentMap<K, V> {
  readonly #limit: number;
  readonly #entries = new Map<K, V>();
  /** Keys in the order of setting, as a ring: a Map finds its oldest key slowly once many before it are gone. */
  readonly #ring: K[] = [];
  #next = 0;

  /** @param limit entries kept; the oldest goes first */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  /** A key that is set again keeps its age. */
  set(key: K, value: V): void {
    const known = this.#entries.has(key);
    this.#entries.set(key, value);
    if (known) return;
    const oldest = this.#ring[this.#next];
    if (oldest !== undefined) this.#entries.delete(oldest);
    this.#ring[this.#next] = key;
    this.#next = (this.#next + 1) % this.#limit;
  }

  /** Oldest first. @param last only so many, the newest */
  *values(last = this.#limit): IterableIterator<V> {
    for (let at = Math.max(0, this.#ring.length - last); at < this.#ring.length; at++) {
      const key = this.#ring[(this.#next + at) % this.#ring.length];
      const value = key === undefined ? undefined : this.#entries.get(key);
      if (value !== undefined) yield value;
    }
  }
}
