/** Which answers are kept: the order in which they go, their bytes, all and by tenant, and where the journal has them. Knows nothing of who waits. */
import type { Future } from './futures.js';

/** Of one answer. */
export interface Keeping {
  readonly untilMs: number;
  /** Of the journal. */
  readonly segment: number;
}

/** Answers in the order in which they came. */
class Queue {
  readonly #all = new Set<Future>();
  /** Goes over {@link #all} once: to begin at its front each time would pass over all that was deleted there. */
  #order = this.#all.keys();
  #first: Future | null = null;
  bytes = 0;

  get size(): number {
    return this.#all.size;
  }

  add(future: Future): void {
    this.#all.add(future);
    this.bytes += sizeOf(future);
  }

  delete(future: Future): void {
    if (this.#all.delete(future)) this.bytes -= sizeOf(future);
  }

  oldest(): Future | null {
    if (this.#all.size === 0) return null;
    while (this.#first === null || !this.#all.has(this.#first)) {
      const { done, value } = this.#order.next();
      // It has been over all that there was; what came since is behind that.
      if (done === true) this.#order = this.#all.keys();
      else this.#first = value;
    }
    return this.#first;
  }
}

export class KeptAnswers {
  readonly #all = new Map<Future, Keeping>();
  readonly #queue = new Queue();
  readonly #ofTenant = new Map<string, Queue>();
  readonly #inSegment = new Map<number, Set<Future>>();

  get count(): number {
    return this.#all.size;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  bytesOf(tenant: string): number {
    return this.#ofTenant.get(tenant)?.bytes ?? 0;
  }

  add(future: Future, keeping: Keeping): void {
    this.#all.set(future, keeping);
    this.#lies(future, keeping.segment);
    this.#queue.add(future);
    const { tenant } = future.owner;
    const own = this.#ofTenant.get(tenant) ?? new Queue();
    this.#ofTenant.set(tenant, own);
    own.add(future);
  }

  delete(future: Future): void {
    const keeping = this.#all.get(future);
    if (keeping === undefined) return;
    this.#all.delete(future);
    this.#queue.delete(future);
    const own = this.#ofTenant.get(future.owner.tenant);
    own?.delete(future);
    if (own?.size === 0) this.#ofTenant.delete(future.owner.tenant);
    const set = this.#inSegment.get(keeping.segment);
    set?.delete(future);
    if (set?.size === 0) this.#inSegment.delete(keeping.segment);
  }

  /** The one that goes first; null: there is none. */
  oldest(): { readonly future: Future; readonly untilMs: number } | null {
    const future = this.#queue.oldest();
    const keeping = future === null ? undefined : this.#all.get(future);
    return future === null || keeping === undefined ? null : { future, untilMs: keeping.untilMs };
  }

  /** As {@link oldest}, of a tenant's. */
  oldestOf(tenant: string): Future | null {
    return this.#ofTenant.get(tenant)?.oldest() ?? null;
  }

  /** Whether there are any in that segment. */
  in(segment: number): boolean {
    return this.#inSegment.has(segment);
  }

  /** All of a segment lie elsewhere now. @param moved says where */
  move(segment: number, moved: (future: Future, untilMs: number) => number): void {
    const all = this.#inSegment.get(segment) ?? [];
    this.#inSegment.delete(segment);
    for (const future of all) {
      const { untilMs } = this.#all.get(future) as Keeping;
      const now = moved(future, untilMs);
      this.#all.set(future, { untilMs, segment: now }); // its place in the order stays
      this.#lies(future, now);
    }
  }

  #lies(future: Future, segment: number): void {
    const set = this.#inSegment.get(segment);
    if (set === undefined) this.#inSegment.set(segment, new Set([future]));
    else set.add(future);
  }
}

function sizeOf({ answer }: Future): number {
  return answer !== null && 'bytes' in answer ? answer.bytes.byteLength : 0;
}
