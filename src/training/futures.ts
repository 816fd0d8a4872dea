/**
 * Answers that are fetched later: each has an id, one owner, and whoever asks waits for it. An answer can be fetched again, for as long as it is
 * kept. Knows nothing of what is computed.
 */
import { randomBytes } from 'node:crypto';
import type { FutureFailure, FutureResult } from './types.js';
import { Waiters } from './waiters.js';

/** Who opened a future, and what for. */
export interface FutureOwner {
  readonly tenant: string;
  readonly session: string;
}

/** Who computes its answer. */
export interface FutureWork {
  /** Nobody wants the answer any more. */
  withdraw(): void;
  /** The future is not known any more. */
  forgotten(): void;
}

export interface FuturesOptions {
  nowMs(): number;
  /** How long an answer is kept after it came. */
  readonly keepMs: number;
  /** Bytes of answers that are kept; over it the oldest go first. */
  readonly keepBytes: number;
}

const PREFIX = randomBytes(8).toString('hex');
let counter = 0;

/** One of them. */
export class Future {
  /** Unguessable, and unique over restarts. */
  readonly id = `req-${PREFIX}${(counter++).toString(36)}`;
  /** Null: it has no answer yet. */
  answer: FutureResult | FutureFailure | null = null;
  readonly #waiters = new Waiters();

  constructor(
    readonly owner: FutureOwner,
    private readonly settled: (future: Future) => void,
    readonly work: FutureWork,
  ) {}

  /** Its answer came. Later ones are ignored. */
  settle(answer: FutureResult | FutureFailure): void {
    if (this.answer !== null) return;
    this.answer = answer;
    this.settled(this);
    this.#waiters.wake();
  }

  /** Nobody wants it any more: what computes it may stop. Idempotent. */
  cancel(): void {
    if (this.answer !== null) return;
    this.settle({ error: 'the request was cancelled', category: 'user' });
    this.work.withdraw();
  }

  /** Resolves when there is an answer, after `ms`, or when `gone` says that nobody listens any more. */
  async wait(ms: number, gone: AbortSignal): Promise<void> {
    if (this.answer === null) await this.#waiters.wait(ms, gone);
  }
}

export class Futures {
  readonly #all = new Map<string, Future>();
  /** Those with an answer, oldest first, with when they go. */
  readonly #kept = new Map<Future, number>();
  #keptBytes = 0;

  constructor(private readonly options: FuturesOptions) {}

  open(owner: FutureOwner, work: FutureWork): Future {
    const future = new Future(owner, (settled) => this.#keep(settled), work);
    this.#all.set(future.id, future);
    return future;
  }

  /** Forget it, and what it may still wait for. */
  drop(future: Future): void {
    if (!this.#all.delete(future.id)) return;
    future.work.forgotten();
    if (this.#kept.delete(future)) this.#keptBytes -= sizeOf(future);
  }

  /** The future of that id; null: it is not known any more, or is another tenant's. */
  find(id: string, tenant: string): Future | null {
    const future = this.#all.get(id);
    return future?.owner.tenant === tenant ? future : null;
  }

  /** What is still computed for a session ends, and all of it is forgotten. */
  endSession(session: string): void {
    for (const future of this.#all.values()) {
      if (future.owner.session !== session) continue;
      future.cancel();
      this.drop(future);
    }
  }

  /** Forget what is too old. To be called now and then. */
  sweep(): void {
    const now = this.options.nowMs();
    for (const [future, until] of this.#kept) {
      if (until > now) return;
      this.drop(future);
    }
  }

  #keep(future: Future): void {
    this.#kept.set(future, this.options.nowMs() + this.options.keepMs);
    this.#keptBytes += sizeOf(future);
    for (const [oldest] of this.#kept) {
      if (this.#keptBytes <= this.options.keepBytes || oldest === future) return;
      this.drop(oldest);
    }
  }
}

function sizeOf({ answer }: Future): number {
  return answer !== null && 'bytes' in answer ? answer.bytes.byteLength : 0;
}
