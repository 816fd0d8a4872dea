/** GRPOMetric and its relatives: how far a policy has moved from the one that sampled, and how much of it is clipped. */
import { maybe, number, type Values, whole } from '../arguments.js';
import { ignoreIndex } from '../losses/token-classes.js';
import { type ClipRule, clipCounts } from './clipping.js';
import { kind, type MetricKind } from './kind.js';
import { type FarToken, farTokens, type Moved, movedOf } from './moved-tokens.js';
import type { Sample } from './sample.js';

interface Totals {
  readonly tokens: number;
  readonly logps: number;
  /** Of tokens that the old policy is known of. */
  readonly old: number;
  readonly moved: number;
  readonly kl: number;
  readonly mostKl: number;
  readonly mostRatio: number;
  readonly hasOld: boolean;
  readonly entropy: number;
  readonly entropyTokens: number;
  readonly low: number;
  readonly high: number;
  readonly clippable: number;
  readonly far: readonly FarToken[];
  /** Sequences so far: the first number of the next pass. */
  readonly sequences: number;
}

const NOTHING: Totals = {
  tokens: 0,
  logps: 0,
  old: 0,
  moved: 0,
  kl: 0,
  mostKl: 0,
  mostRatio: 0,
  hasOld: false,
  entropy: 0,
  entropyTokens: 0,
  low: 0,
  high: 0,
  clippable: 0,
  far: [],
  sequences: 0,
};

const fields = {
  ignore_index: ignoreIndex,
  temperature: number({ min: 0 }, 1),
  epsilon: number({ min: 0 }, 0.2),
  epsilon_high: maybe(number({ min: 0 })),
  top_k_kl: whole({ min: 0, max: 1000 }, 0),
};

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const most = (values: readonly number[], least: number): number =>
  values.reduce((high, value) => Math.max(high, value), least);

function addTokens(totals: Totals, tokens: readonly Moved[], sample: Sample): Totals {
  const known = tokens.filter(({ gap }) => gap !== null);
  const gaps = known.map(({ gap }) => gap ?? 0);
  const kls = known.map(({ kl }) => kl);
  const entropies =
    sample.entropies === null ? [] : tokens.map(({ place, sequence }) => sample.entropies?.[sequence]?.[place] ?? 0);
  return {
    ...totals,
    tokens: totals.tokens + tokens.length,
    logps: totals.logps + total(tokens.map(({ logp }) => logp)),
    old: totals.old + total(known.map(({ old }) => old)),
    moved: totals.moved + total(gaps),
    kl: totals.kl + total(kls),
    mostKl: most(kls, totals.mostKl),
    mostRatio: most(gaps.map(Math.exp), totals.mostRatio),
    hasOld: totals.hasOld || known.length > 0,
    entropy: totals.entropy + total(entropies),
    entropyTokens: totals.entropyTokens + entropies.length,
  };
}

function valuesOf({
  clippable,
  entropy,
  entropyTokens,
  far,
  hasOld,
  high,
  kl,
  logps,
  low,
  mostKl,
  mostRatio,
  moved,
  old,
  tokens,
}: Totals) {
  if (tokens === 0) return {};
  return {
    'train/policy_confidence': Math.exp(logps / tokens),
    'train/mean_new_logp': logps / tokens,
    ...(hasOld
      ? {
          'train/mean_old_logp': old / tokens,
          'train/logp_diff_mean': moved / tokens,
          'train/approx_kl': kl / tokens,
          'train/token_kl_max': mostKl,
          'train/token_ratio_max': mostRatio,
        }
      : {}),
    ...(entropyTokens > 0 ? { 'train/entropy': entropy / entropyTokens } : {}),
    ...(clippable > 0
      ? {
          'train/clip_ratio_low': low / clippable,
          'train/clip_ratio_high': high / clippable,
          'train/clip_ratio': (low + high) / clippable,
        }
      : {}),
    ...(far.length > 0 ? { _high_kl_records: far } : {}),
  };
}

function add(totals: Totals, sample: Sample, options: Values<typeof fields>, rule: ClipRule): Totals {
  if (sample.logps === null) return totals;
  const { epsilon, epsilon_high, temperature, top_k_kl } = options;
  const tokens = movedOf(sample, temperature === 0 ? 1 : temperature);
  const seen = addTokens(totals, tokens, sample);
  const { clippable, high, low } = clipCounts(rule, tokens, sample.sequences.length, epsilon, epsilon_high ?? epsilon);
  return {
    ...seen,
    low: totals.low + low,
    high: totals.high + high,
    clippable: totals.clippable + clippable,
    far: [...totals.far, ...farTokens(tokens, top_k_kl, totals.sequences)],
    sequences: totals.sequences + sample.sequences.length,
  };
}

function policyMetric(name: string, rule: ClipRule): MetricKind {
  return kind(name, fields, {
    start: () => NOTHING,
    add: (totals: Totals, sample, options) => add(totals, sample, options, rule),
    finish: (totals) => ({ values: valuesOf(totals), totals: NOTHING }),
  });
}

/** Tokens that the clip holds back, by the sign of their advantage. */
export const grpoMetric = policyMetric('GRPOMetric', 'token');
/** The same by the name of PPO. */
export const ppoMetric = policyMetric('PPOMetric', 'token');
/** Sequences instead of tokens. */
export const gspoMetric = policyMetric('GSPOMetric', 'sequence');
/** Tokens beyond the bounds, whatever their advantage. */
export const cispoMetric = policyMetric('CISPOMetric', 'bounds');
