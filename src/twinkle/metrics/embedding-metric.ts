/** EmbeddingMetric: how near the embeddings of anchors are to those of their positives, and to those of others. */
import { kind } from './kind.js';
import { fixed } from './python-format.js';
import type { Sample } from './sample.js';

interface Totals {
  readonly own: number;
  readonly ownCount: number;
  /** Null: there is none yet. */
  readonly least: number | null;
  readonly most: number | null;
  readonly others: number;
  readonly otherCount: number;
  readonly loss: number;
  readonly losses: number;
  readonly fresh: boolean;
}

const NOTHING: Totals = {
  own: 0,
  ownCount: 0,
  least: null,
  most: null,
  others: 0,
  otherCount: 0,
  loss: 0,
  losses: 0,
  fresh: false,
};

type Vector = readonly number[];

const dot = (one: Vector, other: Vector): number => one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);

/** Norms are held above 1e-8, as torch does it. */
function cosine(one: Vector, other: Vector): number {
  return dot(one, other) / Math.max(1e-8, Math.sqrt(dot(one, one))) / Math.max(1e-8, Math.sqrt(dot(other, other)));
}

/** Of each anchor, its vector and that of what follows it. */
function pairsOf({ embeddings, sequences }: Sample): readonly (readonly [Vector, Vector])[] {
  return sequences.flatMap(({ anchor }, at): (readonly [Vector, Vector])[] => {
    const own = embeddings?.[at];
    const positive = embeddings?.[at + 1];
    return anchor === true && own !== undefined && positive !== undefined ? [[own, positive]] : [];
  });
}

function add(totals: Totals, sample: Sample): Totals {
  const pairs = pairsOf(sample);
  if (pairs.length === 0) return totals;
  const own = pairs.map(([anchor, positive]) => cosine(anchor, positive));
  const others = pairs.flatMap(([anchor], at) =>
    pairs.flatMap(([, positive], other) => (other === at ? [] : [dot(anchor, positive)])),
  );
  const all = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0);
  return {
    own: totals.own + all(own),
    ownCount: totals.ownCount + own.length,
    least: own.reduce((least, value) => Math.min(least, value), totals.least ?? Number.POSITIVE_INFINITY),
    most: own.reduce((most, value) => Math.max(most, value), totals.most ?? Number.NEGATIVE_INFINITY),
    others: totals.others + all(others),
    otherCount: totals.otherCount + others.length,
    loss: totals.loss + (sample.loss ?? 0),
    losses: totals.losses + (sample.loss === null ? 0 : 1),
    fresh: true,
  };
}

/** Passes without anchors are left out. */
export const embeddingMetric = kind<Record<never, never>, Totals>(
  'EmbeddingMetric',
  {},
  {
    start: () => NOTHING,
    add,
    finish: ({ fresh, least, loss, losses, most, otherCount, others, own, ownCount }, { gradNorm }) => ({
      values: {
        ...(least === null || most === null
          ? {}
          : { pos_sim: fixed(own / ownCount, 4), pos_sim_min: fixed(least, 4), pos_sim_max: fixed(most, 4) }),
        ...(otherCount > 0 ? { neg_sim: fixed(others / otherCount, 4) } : {}),
        ...(losses > 0 ? { loss: fixed(loss / losses, 4) } : {}),
        ...(fresh && gradNorm > 0 ? { grad_norm: fixed(gradNorm, 6) } : {}),
      },
      totals: NOTHING,
    }),
  },
);
