/** TrainMetric: learning rates, steps, time and speed. */
import { kind } from './kind.js';
import { exponential, fixed } from './python-format.js';

interface Totals {
  readonly startedMs: number;
  /** Asked for the last time. */
  readonly sinceMs: number;
  /** A pass came since then: what is said is of the moment then, and not any more what was said before. */
  readonly fresh: boolean;
  /** Null: no pass ever came. */
  readonly lrs: readonly number[] | null;
  readonly step: number;
  readonly lastStep: number;
  /** Gradient accumulation steps. */
  readonly each: number;
}

function lrTexts(lrs: readonly number[]): Record<string, string> {
  const texts = lrs.map((lr) => exponential(lr, 6));
  if (texts.length === 1) return { 'learning rate': texts[0] ?? '' };
  return Object.fromEntries(texts.map((text, at) => [`learning rate(param group ${at + 1})`, text]));
}

/** Steps are counted as the client's class does it: one less than passes that went back. */
export const trainMetric = kind<Record<never, never>, Totals>(
  'TrainMetric',
  {},
  {
    start: (nowMs) => ({ startedMs: nowMs, sinceMs: nowMs, fresh: false, lrs: null, step: 0, lastStep: 0, each: 1 }),
    add: (totals) => ({ ...totals, fresh: true }),
    finish: (totals, moment, nowMs) => {
      const { lastStep, sinceMs, startedMs } = totals;
      const lrs = totals.fresh ? moment.lrs : totals.lrs;
      const step = totals.fresh ? moment.passes - 1 : totals.step;
      const each = totals.fresh ? moment.accumulation : totals.each;
      const interval = (nowMs - sinceMs) / 1000;
      const elapsed = (nowMs - startedMs) / 1000;
      // A clock that stands still, or goes back, says nothing of the speed.
      const speed = interval > 0 ? (step - lastStep) / interval / each : 0;
      const values = {
        ...(lrs === null ? {} : lrTexts(lrs)),
        iters: Math.floor(step / each),
        'total time elapse': interval < 60 ? `${fixed(elapsed, 0)} seconds` : `${fixed(elapsed / 60, 1)} minutes`,
        speed: `${fixed(speed, 2)} iters/s`,
      };
      return { values, totals: { startedMs, sinceMs: nowMs, fresh: false, lrs, step, lastStep: step, each } };
    },
  },
);
