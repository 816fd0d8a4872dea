/** A typed event emitter whose listeners cannot hurt the emitter: what one throws is reported, not raised. */

type Listener<A extends readonly unknown[]> = (...args: A) => void;

export class Emitter<Events extends { [K in keyof Events]: (...args: never[]) => void }> {
  readonly #listeners = new Map<keyof Events, Set<Listener<never[]>>>();
  readonly #onThrow: (error: unknown) => void;

  /** @param onThrow told what a listener threw; by default it surfaces as an unhandled error of its own tick */
  constructor(
    onThrow: (error: unknown) => void = (error) =>
      queueMicrotask(() => {
        throw error;
      }),
  ) {
    this.#onThrow = onThrow;
  }

  /** Listen; returns how to stop. */
  on<K extends keyof Events>(event: K, listener: Events[K]): () => void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(listener as Listener<never[]>);
    return () => set.delete(listener as Listener<never[]>);
  }

  emit<K extends keyof Events>(event: K, ...args: Parameters<Events[K]>): void {
    for (const listener of this.#listeners.get(event) ?? []) {
      try {
        listener(...(args as never[]));
      } catch (error) {
        this.#onThrow(error);
      }
    }
  }
}
