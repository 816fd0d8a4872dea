/** Exponential backoff with jitter; pure: the caller draws the random number. */

export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  readonly factor: number;
}

/**
 * Delay before attempt `attempt` (0 is the first retry), in ms.
 * @param random in [0, 1): takes up to a quarter off, so that many do not come back at once
 */
export function backoffMs(policy: BackoffPolicy, attempt: number, random: number): number {
  const full = Math.min(policy.maxMs, policy.firstMs * policy.factor ** attempt);
  return Math.round(full * (1 - 0.25 * random));
}
