/** The fields of the log line of an optimizer step. Pure. */
import type { StepReport } from '../training/types/progress.js';

/** Figures as they are read: not more digits than they are worth. */
export function stepFields(report: StepReport): Record<string, string | number | null> {
  const { gradNorm, loss, lossPerToken, model, queueMs, run, step, stepMs, tokens, tokensPerSecond } = report;
  return {
    run,
    model,
    step,
    loss: short(loss),
    loss_per_token: short(lossPerToken),
    tokens,
    tokens_per_s: short(tokensPerSecond),
    step_ms: short(stepMs),
    queue_ms: short(queueMs),
    grad_norm: short(gradNorm),
  };
}

function short(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(6));
}
