/** `queue_config`, read. Pure. */
import type { ArgsOf } from './schema.js';
import type { QueueLimits } from './types.js';

/** 0 is no limit, as the documents say. */
export function limitsOf(queue: ArgsOf<'model'>['queue_config']): QueueLimits {
  const { enabled, window_seconds: window } = queue;
  const most = (amount: number): number | null => (enabled && amount > 0 ? amount : null);
  return {
    requests: most(queue.rps_limit),
    tokens: most(queue.tps_limit),
    windowMs: window * 1000,
    maxInputTokens: most(queue.max_input_tokens),
    queueTimeoutMs: queue.queue_timeout === 0 ? null : queue.queue_timeout * 1000,
    executionTimeoutMs: queue.execution_timeout === 0 ? null : queue.execution_timeout * 1000,
    forgetMs: window * queue.token_cleanup_multiplier * 1000,
    cleanupIntervalMs: queue.token_cleanup_interval * 1000,
  };
}
