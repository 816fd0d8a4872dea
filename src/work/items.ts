/** Results that come one by one. */
import type { WorkClient } from './client.js';
import type { Slot, Stored } from './refs.js';

export class Items<T> implements AsyncIterableIterator<T> {
  readonly #client: WorkClient;
  #slot: Slot | null = null;
  #waiting: Stored[] = [];
  #ended = false;
  #error: Stored | null = null;
  #wake: (() => void)[] = [];

  constructor(client: WorkClient) {
    this.#client = client;
  }

  /** The call has been made; its slot is this one's. */
  begin(slot: Slot): void {
    this.#slot = slot;
  }

  /** What the call tells: each item, an error, null at the end. */
  readonly take = (stored: Stored | null): void => {
    if (stored === null) this.#ended = true;
    else if ('error' in stored || stored.value.f === 'error') this.#error = stored;
    else if (this.#ended) this.#drop(stored);
    else {
      // A large one has been sealed by the worker, held by this process.
      if (stored.value.at !== '') this.#client.objects.borrow(stored.value.at, true);
      this.#waiting.push(stored);
    }
    for (const wake of this.#wake.splice(0)) wake();
  };

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    while (true) {
      const stored = this.#waiting.shift();
      if (stored !== undefined) {
        try {
          return { done: false, value: await this.#read(stored) };
        } catch (error) {
          await this.return(); // whoever iterates asks for no more after an error
          throw error;
        }
      }
      if (this.#ended) {
        this.#end();
        return { done: true, value: undefined };
      }
      if (this.#error !== null) {
        const error = this.#error;
        this.#end();
        await this.#client.objects.valueOf(error); // rejects
      }
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** Who stops early wants no more of it. */
  async return(): Promise<IteratorResult<T, undefined>> {
    if (!this.#ended && this.#slot !== null) this.#client.cancel(this.#slot, false, true);
    this.#end();
    return { done: true, value: undefined };
  }

  async #read(stored: Stored): Promise<T> {
    try {
      return (await this.#client.objects.valueOf(stored)) as T;
    } finally {
      this.#release(stored);
    }
  }

  #end(): void {
    this.#ended = true;
    this.#error = null;
    for (const stored of this.#waiting.splice(0)) this.#release(stored);
    if (this.#slot !== null) this.#client.objects.release([this.#slot.id]);
    this.#slot = null;
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** One that came too late. */
  #drop(stored: Stored): void {
    if (!('error' in stored) && stored.value.at !== '') this.#client.objects.borrow(stored.value.at, true);
    this.#release(stored);
  }

  #release(stored: Stored): void {
    if ('error' in stored) return;
    this.#client.objects.release(stored.value.at === '' ? stored.keep : [...stored.keep, stored.value.at]);
  }
}
