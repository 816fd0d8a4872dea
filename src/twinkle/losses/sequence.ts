/** The sequences of a batch with what came for their tokens: for the loss, and for metrics. */
import { TwinkleError } from '../../errors.js';
import { IGNORED } from '../feature-fields.js';
import { type Feature, nextTokens } from '../features.js';
import { align, type Place } from './align.js';
import type { CallData } from './call.js';
import type { Batch } from './weights.js';

/** One sequence. What came is in the places of its tokens, 0 where none counts; null: nothing came. */
export interface Sequence {
  /** Targets; -100 where none counts. Empty for an embedding. */
  readonly labels: readonly number[];
  /** Log-probabilities under the policy that sampled. */
  readonly old: readonly number[] | null;
  /** Log-probabilities under the reference. */
  readonly reference: readonly number[] | null;
  readonly advantages: readonly number[] | null;
  /** Of an embedding: whether it begins a group. */
  readonly anchor: boolean | null;
}

interface Options {
  /** Whether targets are the next tokens where no labels came. */
  readonly unlabelled: boolean;
  /** Whether one number may stand for the reference of all tokens of a sequence. */
  readonly scalars: boolean;
}

/** Of features whose tokens have targets. @throws `INVALID_REQUEST` for missing labels, and for data of another length */
export function sequencesOf(
  features: readonly Feature[],
  data: CallData,
  { scalars, unlabelled }: Options,
): readonly Sequence[] {
  const places = features.map(({ labels, padding, tokens }, at): Place => {
    const sent = tokens.length + padding;
    if (labels !== null) return { labels, sent };
    if (unlabelled) return { labels: nextTokens(tokens), sent };
    const param = `inputs[${at}].labels`;
    throw new TwinkleError('INVALID_REQUEST', `a loss needs \`labels\`, and inputs[${at}] has none`, { param });
  });
  const rows = (name: string, value: unknown, one: boolean) =>
    value === null ? null : align(name, value, places, { scalars: one });
  const old = rows('old_logps', data.old, true);
  const reference = rows('ref_logps', data.reference, scalars);
  const advantages = rows('advantages', data.advantages, true);
  return places.map(({ labels }, at) => ({
    labels,
    old: old?.[at] ?? null,
    reference: reference?.[at] ?? null,
    advantages: advantages?.[at] ?? null,
    anchor: null,
  }));
}

/** Of a sentence to be embedded. */
export function embedded({ anchor }: Feature): Sequence {
  return { labels: [], old: null, reference: null, advantages: null, anchor };
}

/** What its losses are summed up by. */
export function batchOf(sequences: readonly Sequence[], { items }: CallData): Batch {
  const counts = sequences.map(({ labels }) => labels.filter((label) => label !== IGNORED).length);
  return { counts, items };
}
