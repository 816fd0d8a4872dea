/** How much there may be: on the ranks of a model, and of one key. Knows nothing of what is counted. */
import { TwinkleError } from '../errors.js';
import type { ModelLimits, TrainerHost } from './trainer.js';

/** What whoever runs the server says of training. */
export interface TrainingRules {
  /** Whether runs may train all parameters of a model. */
  readonly full: boolean;
  /** Runs of a model that are on its ranks at a time. */
  readonly maxRuns: number;
  /** A run that was idle for so long is parked; ranks without a run for so long end. */
  readonly idleMs: number;
  /** A run that is older ends; null: none does. */
  readonly maxLifeMs: number | null;
  /** Of a key's checkpoints; null: as many as the disk takes. */
  readonly maxCheckpointBytes: number | null;
  /** A client that is silent for so long is gone: it would be heard every 10 s. */
  readonly sessionSilenceMs: number;
  /** Of a key, at a time. */
  readonly sessions: number;
  /** As {@link sessions}. */
  readonly runs: number;
  /** As {@link sessions}. */
  readonly samplers: number;
  /** Requests of a key without an answer. */
  readonly pending: number;
}

export const DEFAULT_RULES: TrainingRules = {
  full: false,
  maxRuns: 64,
  idleMs: 600_000,
  maxLifeMs: null,
  maxCheckpointBytes: null,
  sessionSilenceMs: 300_000,
  sessions: 256,
  runs: 256,
  samplers: 10_000,
  pending: 10_000,
};

/** Of one model: its own, or what is said of all. */
export function limitsOf(
  host: Pick<TrainerHost, 'limits'>,
  model: string,
  { full, maxLifeMs, maxRuns }: ModelLimits,
): ModelLimits {
  return host.limits?.(model) ?? { full, maxLifeMs, maxRuns };
}

/** Pending answers come one after another, whatever is asked. */
const RETRY_MS = 1000;

/** Counts something of each key. In constant time, however much there is. */
export class TenantCount {
  readonly #of = new Map<string, number>();

  /** @param limit null: there is none */
  constructor(
    private readonly limit: number | null = null,
    private readonly refusal: (limit: number) => TwinkleError = unexpected,
  ) {}

  /** @throws the refusal, when `more` would be over the limit */
  check(tenant: string, more = 1): void {
    if (this.limit !== null && this.of(tenant) + more > this.limit) throw this.refusal(this.limit);
  }

  /** @param more below 0: less */
  add(tenant: string, more = 1): void {
    const count = this.of(tenant) + more;
    if (count === 0) this.#of.delete(tenant);
    else this.#of.set(tenant, count);
  }

  of(tenant: string): number {
    return this.#of.get(tenant) ?? 0;
  }
}

const unexpected = (limit: number): TwinkleError => new TwinkleError('INTERNAL', `there is no limit of ${limit}`);

/** 400: clients repeat 429 for minutes, and nothing goes by itself while their sessions live. */
const refused = (message: string): TwinkleError => new TwinkleError('INVALID_REQUEST', message);

/** The counters of a service: what they refuse, and what to do then. */
export function tenantCounts(rules: TrainingRules) {
  const ends = 'a session ends with its client, or five minutes after its last heartbeat';
  return {
    sessions: new TenantCount(rules.sessions, (limit) =>
      refused(`this key has ${limit} sessions, which is the limit: end some (${ends})`),
    ),
    runs: new TenantCount(rules.runs, (limit) =>
      refused(`this key trains ${limit} runs, which is the limit: end sessions that have some (${ends})`),
    ),
    samplers: new TenantCount(rules.samplers, (limit) =>
      refused(`this key has ${limit} sampling sessions, which is the limit: begin a new session, and end this one`),
    ),
    pending: new TenantCount(rules.pending, (limit) => {
      const message = `${limit} requests of this key wait for their answers, which is the limit`;
      return new TwinkleError('OVERLOADED', message, { retryAfterMs: RETRY_MS });
    }),
    checkpointBytes: new TenantCount(rules.maxCheckpointBytes, (limit) =>
      refused(`the checkpoints of this key would have more than ${limit} bytes, which is the limit: delete some`),
    ),
  };
}
