/** From losses of tokens to the loss of a batch: what each token of a sequence is multiplied by. Pure. */
import type { LossSpec } from './spec.js';

/** Of a batch. */
export interface Batch {
  /** Tokens that count, of each sequence. */
  readonly counts: readonly number[];
  /** `num_items_in_batch`, where the client sent it. */
  readonly items: number | null;
}

/** A factor for each sequence. Empty sequences and batches have a loss of 0, and no factor is infinite. */
export function factors(
  { length, reduction }: Pick<LossSpec, 'length' | 'reduction'>,
  { counts, items }: Batch,
): readonly number[] {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const same = (factor: number) => counts.map(() => factor);
  switch (reduction) {
    case 'token-sum':
      return same(1);
    case 'token-mean':
      return same(1 / Math.max(1, total));
    case 'sequence-mean':
      return counts.map((count) => 1 / (Math.max(1, count) * counts.length));
    case 'batch-length':
      return same(1 / (counts.length * length));
    case 'batch-items':
      return same(1 / (items ?? Math.max(1, total)));
    case 'own':
      return same(0);
  }
}

/** What the gradient of a step is divided by for this batch: tokens of a sum, 1 for a mean. */
export function denominatorOf({ reduction }: Pick<LossSpec, 'reduction'>, { counts }: Batch): number {
  if (reduction !== 'token-sum') return 1;
  return Math.max(
    1,
    counts.reduce((sum, count) => sum + count, 0),
  );
}
