/** How many tokens or sequences of a pass are beyond the bounds of a clip. Pure. */
import type { Moved } from './moved-tokens.js';

/** Tokens, or sequences by their mean, that the clip holds back as their advantage would have it; or tokens beyond the bounds at all. */
export type ClipRule = 'token' | 'sequence' | 'bounds';

interface Counts {
  readonly low: number;
  readonly high: number;
  readonly clippable: number;
}

interface Ratio {
  readonly ratio: number;
  readonly advantage: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Only tokens count of which both the old policy and the advantage are known. */
export function clipCounts(
  rule: ClipRule,
  tokens: readonly Moved[],
  sequences: number,
  below: number,
  above: number,
): Counts {
  const known = tokens.filter(({ advantage, gap }) => gap !== null && advantage !== null);
  const ratios = rule === 'sequence' ? bySequence(known, sequences) : known.map(ratioOf);
  const signed = rule !== 'bounds';
  return {
    low: ratios.filter(({ advantage, ratio }) => ratio < 1 - below && (!signed || advantage < 0)).length,
    high: ratios.filter(({ advantage, ratio }) => ratio > 1 + above && (!signed || advantage > 0)).length,
    clippable: ratios.length,
  };
}

const ratioOf = ({ advantage, gap }: Moved): Ratio => ({ ratio: Math.exp(gap ?? 0), advantage: advantage ?? 0 });

function bySequence(tokens: readonly Moved[], sequences: number): readonly Ratio[] {
  const own = Array.from({ length: sequences }, (_, at) => tokens.filter(({ sequence }) => sequence === at));
  return own
    .filter((all) => all.length > 0)
    .map((all) => ({
      ratio: Math.exp(mean(all.map(({ gap }) => gap ?? 0))),
      advantage: mean(all.map(({ advantage }) => advantage ?? 0)),
    }));
}
