/** Limits of requests, of each key: how many, of how many tokens, in a window of time. Pure; the clock is given. */
import { TwinkleError } from '../errors.js';

/** Null: no limit. */
export interface AdmissionLimits {
  /** In a window. */
  readonly requests: number | null;
  /** Input tokens in a window. */
  readonly tokens: number | null;
  readonly windowMs: number;
  /** Input tokens of one request. */
  readonly maxInputTokens: number | null;
  /** Of waiting for the ranks; a request that waits longer fails. */
  readonly queueTimeoutMs: number | null;
  /** From its departure to its answer. */
  readonly executionTimeoutMs: number | null;
}

interface Taken {
  readonly atMs: number;
  readonly tokens: number;
}

/** What a key sent in the last window. */
class Recent {
  readonly taken: Taken[] = [];
  tokens = 0;

  forget(beforeMs: number): void {
    const kept = this.taken.findIndex(({ atMs }) => atMs > beforeMs);
    for (const { tokens } of this.taken.splice(0, kept === -1 ? this.taken.length : kept)) this.tokens -= tokens;
  }

  add(one: Taken): void {
    this.taken.push(one);
    this.tokens += one.tokens;
  }

  /** When the oldest of them have gone that stand in the way of so many more. */
  roomAt(requests: number, tokens: number, windowMs: number): number {
    let [left, sum] = [this.taken.length, this.tokens];
    for (const one of this.taken) {
      if (left < requests && sum <= tokens) break;
      left -= 1;
      sum -= one.tokens;
      if (left < requests && sum <= tokens) return one.atMs + windowMs;
    }
    return Number.NEGATIVE_INFINITY;
  }
}

/** Those of one application. */
export class Admission {
  readonly #recent = new Map<string, Recent>();
  #sweptMs = Number.NEGATIVE_INFINITY;

  /** @param of what it is called in messages */
  constructor(
    readonly limits: AdmissionLimits,
    private readonly of: string,
    private readonly nowMs: () => number,
  ) {}

  /**
   * Count a request in, or refuse it: then it counts for nothing.
   * @param tokens of its input
   * @throws `INVALID_REQUEST` for one that is too large at any time, `OVERLOADED` with the time after which there is room
   */
  admit(tenant: string, tokens: number): void {
    const { maxInputTokens, requests, tokens: most, windowMs } = this.limits;
    if (maxInputTokens !== null && tokens > maxInputTokens) {
      throw refused(
        `${tokens} input tokens are over the ${maxInputTokens} that ${this.of} takes in one request: split it`,
      );
    }
    if (most !== null && tokens > most) {
      throw refused(
        `${tokens} input tokens are over the ${most} that ${this.of} takes of a key in ${windowMs / 1000} s: split it`,
      );
    }
    const now = this.nowMs();
    this.#sweep(now);
    const recent = this.#recent.get(tenant) ?? new Recent();
    recent.forget(now - windowMs);
    const full = requests !== null && recent.taken.length >= requests;
    const over = most !== null && recent.tokens + tokens > most;
    if (full || over) {
      const room = recent.roomAt(
        requests ?? Number.POSITIVE_INFINITY,
        (most ?? Number.POSITIVE_INFINITY) - tokens,
        windowMs,
      );
      const limit = full ? `${requests} requests` : `${most} input tokens`;
      throw new TwinkleError(
        'OVERLOADED',
        `this key has sent ${this.of} ${limit} in ${windowMs / 1000} s, which is the limit: wait, and send it again`,
        { retryAfterMs: Math.max(1, Math.ceil(room - now)) },
      );
    }
    recent.add({ atMs: now, tokens });
    this.#recent.set(tenant, recent);
  }

  /** Keys that have been silent are not remembered. */
  #sweep(now: number): void {
    const { windowMs } = this.limits;
    if (now - this.#sweptMs < windowMs) return;
    this.#sweptMs = now;
    for (const [tenant, recent] of this.#recent) {
      recent.forget(now - windowMs);
      if (recent.taken.length === 0) this.#recent.delete(tenant);
    }
  }
}

const refused = (message: string): TwinkleError => new TwinkleError('INVALID_REQUEST', message);

/** Who limits what is asked of models. */
export interface Admissions {
  /** Of runs that train it; null: no limits. @param model served name */
  training(model: string): Admission | null;
  /** Of samples from it. */
  sampling(model: string): Admission | null;
}

export const UNLIMITED: Admissions = { training: () => null, sampling: () => null };
