/** Operations that are given up when they wait, or are computed, for too long. */
import { TwinkleError } from '../errors.js';
import type { RunOperation } from './run-answers.js';

/** Null: no limit. */
export interface Timeouts {
  readonly queueTimeoutMs: number | null;
  readonly executionTimeoutMs: number | null;
}

/** A timer of more would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** The operation; one that was given up is not begun, and what comes of one that had begun is not told. */
export function timed(operation: RunOperation, { executionTimeoutMs, queueTimeoutMs }: Timeouts): RunOperation {
  if (queueTimeoutMs === null && executionTimeoutMs === null) return operation;
  let over = false;
  let timer: NodeJS.Timeout | null = null;
  const settle = (tell: () => void): void => {
    if (timer !== null) clearTimeout(timer);
    if (over) return;
    over = true;
    tell();
  };
  const giveUpAfter = (ms: number | null, message: string, begun: boolean): void => {
    if (timer !== null) clearTimeout(timer);
    timer =
      ms === null
        ? null
        : setTimeout(
            () =>
              settle(() => operation.failed(new TwinkleError('DEADLINE_EXCEEDED', message, { details: { begun } }))),
            Math.min(ms, LONGEST_MS),
          );
    timer?.unref();
  };
  giveUpAfter(
    queueTimeoutMs,
    `the request waited for more than ${(queueTimeoutMs ?? 0) / 1000} s and was not begun`,
    false,
  );
  const common = {
    sent: () => {
      operation.sent();
      giveUpAfter(
        over ? null : executionTimeoutMs,
        `the request is computed for more than ${(executionTimeoutMs ?? 0) / 1000} s; it goes on, and its gradient may count: forget that, or begin from what was saved`,
        true,
      );
    },
    failed: (error: unknown) => settle(() => operation.failed(error)),
    abandoned: () => over,
  };
  if (operation.kind === 'pass')
    return { ...operation, ...common, done: (outcome) => settle(() => operation.done(outcome)) };
  const { send } = operation;
  return {
    ...operation,
    ...common,
    send: async (trainer) => {
      await send(trainer);
      settle(() => {});
    },
  };
}
