/** LossMetric: the mean loss, and the norm of the gradient. */
import { kind } from './kind.js';
import { fixed } from './python-format.js';

interface Totals {
  readonly loss: number;
  readonly count: number;
  readonly tokens: number;
}

const NOTHING: Totals = { loss: 0, count: 0, tokens: 0 };

/** Sums are divided by their tokens, means by how many there are. The norm is said from 0 on, and only after a pass. */
export const lossMetric = kind<Record<never, never>, Totals>(
  'LossMetric',
  {},
  {
    start: () => NOTHING,
    add: ({ count, loss, tokens }, sample) => {
      if (sample.loss === null) return { loss, count, tokens };
      return { loss: loss + sample.loss, count: count + 1, tokens: tokens + (sample.tokens ?? 0) };
    },
    finish: ({ count, loss, tokens }, { gradNorm }) => ({
      values: {
        loss: fixed(tokens > 0 ? loss / tokens : count > 0 ? loss / count : 0, 4),
        ...(count > 0 && gradNorm > 0 ? { grad_norm: fixed(gradNorm, 6) } : {}),
      },
      totals: NOTHING,
    }),
  },
);
