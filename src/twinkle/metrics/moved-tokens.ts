/** Tokens of a pass beside what the policy that sampled said of them. Pure. */
import { IGNORED } from '../feature-fields.js';
import type { Sample } from './sample.js';

/** One that counts. */
export interface Moved {
  readonly sequence: number;
  readonly place: number;
  readonly target: number;
  readonly logp: number;
  /** 0 where the old policy is not known. */
  readonly old: number;
  /** New less old log-probability; null: the old one is not known. */
  readonly gap: number | null;
  /** exp(gap) - gap - 1: of these, the mean estimates KL(old || new). */
  readonly kl: number;
  /** Null: there is none. */
  readonly advantage: number | null;
}

/** Of tokens that moved the furthest: as the client's class names it. */
export interface FarToken {
  /** Number of the sequence since the metric was last asked for. */
  readonly gsi: number;
  readonly pos: number;
  readonly token_id: number;
  readonly kl: number;
  readonly ratio: number;
  readonly logp_new: number;
  readonly logp_old: number;
}

/** @param temperature that samples were drawn at: log-probabilities are multiplied by it */
export function movedOf({ logps, sequences }: Sample, temperature: number): readonly Moved[] {
  return sequences.flatMap(({ advantages, labels, old }, sequence) =>
    labels.flatMap((target, place): Moved[] => {
      if (target === IGNORED) return [];
      const logp = (logps?.[sequence]?.[place] ?? 0) * temperature;
      const before = (old?.[place] ?? 0) * temperature;
      const gap = old === null ? null : logp - before;
      const kl = gap === null ? 0 : Math.expm1(gap) - gap;
      return [{ sequence, place, target, logp, old: before, gap, kl, advantage: advantages?.[place] ?? null }];
    }),
  );
}

/** The `count` tokens of the greatest divergence above 0. @param first number of the pass's first sequence */
export function farTokens(tokens: readonly Moved[], count: number, first: number): readonly FarToken[] {
  if (count === 0) return [];
  const far = tokens.filter(({ kl }) => kl > 0).sort((one, other) => other.kl - one.kl);
  return far.slice(0, count).map(({ gap, kl, logp, old, place, sequence, target }) => ({
    gsi: first + sequence,
    pos: place,
    token_id: target,
    kl,
    ratio: Math.exp(gap ?? 0),
    logp_new: logp,
    logp_old: old,
  }));
}
