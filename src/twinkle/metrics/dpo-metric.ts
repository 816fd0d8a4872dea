/** DPOMetric: log-probabilities and rewards of chosen and rejected sequences. */
import { number } from '../arguments.js';
import { IGNORED } from '../feature-fields.js';
import { ignoreIndex } from '../losses/token-classes.js';
import { kind } from './kind.js';
import { fixed } from './python-format.js';
import type { Sample } from './sample.js';

interface Totals {
  readonly chosen: number;
  readonly rejected: number;
  readonly refChosen: number;
  readonly refRejected: number;
  readonly chosenReward: number;
  readonly rejectedReward: number;
  readonly margin: number;
  readonly right: number;
  readonly pairs: number;
  readonly rewarded: boolean;
}

const NOTHING: Totals = {
  chosen: 0,
  rejected: 0,
  refChosen: 0,
  refRejected: 0,
  chosenReward: 0,
  rejectedReward: 0,
  margin: 0,
  right: 0,
  pairs: 0,
  rewarded: false,
};

/** Of the tokens that count. */
function sum(values: readonly number[], labels: readonly number[]): number {
  return values.reduce((total, value, at) => total + (labels[at] === IGNORED ? 0 : value), 0);
}

interface Scores {
  readonly policy: number;
  readonly reference: number | null;
}

function scoresOf({ logps, sequences }: Sample): readonly Scores[] {
  return sequences.map(({ labels, reference }, at) => ({
    policy: sum(logps?.[at] ?? [], labels),
    reference: reference === null ? null : sum(reference, labels),
  }));
}

function addPair(totals: Totals, chosen: Scores, rejected: Scores, beta: number): Totals {
  const seen = {
    ...totals,
    chosen: totals.chosen + chosen.policy,
    rejected: totals.rejected + rejected.policy,
    pairs: totals.pairs + 1,
  };
  if (chosen.reference === null || rejected.reference === null) return seen;
  const reward = beta * (chosen.policy - chosen.reference);
  const other = beta * (rejected.policy - rejected.reference);
  return {
    ...seen,
    refChosen: totals.refChosen + chosen.reference,
    refRejected: totals.refRejected + rejected.reference,
    chosenReward: totals.chosenReward + reward,
    rejectedReward: totals.rejectedReward + other,
    margin: totals.margin + (reward - other),
    right: totals.right + (reward > other ? 1 : 0),
    rewarded: true,
  };
}

function valuesOf(totals: Totals): Record<string, string> {
  const { chosen, chosenReward, margin, pairs, refChosen, refRejected, rejected, rejectedReward, rewarded, right } =
    totals;
  if (pairs === 0) return {};
  const logps = { 'logps/chosen': fixed(chosen / pairs, 2), 'logps/rejected': fixed(rejected / pairs, 2) };
  if (!rewarded) return logps;
  return {
    ...logps,
    'logps/ref_chosen': fixed(refChosen / pairs, 2),
    'logps/ref_rejected': fixed(refRejected / pairs, 2),
    'rewards/chosen': fixed(chosenReward / pairs, 4),
    'rewards/rejected': fixed(rejectedReward / pairs, 4),
    'rewards/margins': fixed(margin / pairs, 4),
    'rewards/accuracies': `${fixed((right / pairs) * 100, 1)}%`,
  };
}

/** Chosen and rejected sequences take turns; a pass of an odd number has no pairs and is left out. Rewards need a reference. */
export const dpoMetric = kind(
  'DPOMetric',
  { beta: number({ min: 0 }, 0.1), ignore_index: ignoreIndex },
  {
    start: () => NOTHING,
    add: (totals: Totals, sample, { beta }) => {
      if (sample.logps === null || sample.sequences.length % 2 !== 0) return totals;
      const scores = scoresOf(sample);
      return scores.reduce((all, rejected, at) => {
        const chosen = scores[at - 1];
        return at % 2 === 1 && chosen !== undefined ? addPair(all, chosen, rejected, beta) : all;
      }, totals);
    },
    finish: (totals) => ({ values: valuesOf(totals), totals: NOTHING }),
  },
);
