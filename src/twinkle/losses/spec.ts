/** A loss as a client set it: which of the ranks' losses it is, its numbers, and how token losses become one number. Plain JSON. */
import type { WireName } from './wire.js';

/**
 * From losses of tokens to the loss of a batch. Only a `token-sum` is divided by its tokens when a step is taken; the others are means already.
 * - `token-sum`, `token-mean`: over all tokens that count
 * - `sequence-mean`: the mean of each sequence, and of these the mean
 * - `batch-length`: the sum over sequences x {@link LossSpec.length}
 * - `batch-items`: the sum over `num_items_in_batch`, or over the tokens that count
 * - `own`: the ranks' loss does it
 */
export type Reduction = 'token-sum' | 'token-mean' | 'sequence-mean' | 'batch-length' | 'batch-items' | 'own';

/** See the file's header. */
export interface LossSpec {
  /** The class, for messages. */
  readonly name: string;
  readonly wire: Exclude<WireName, 'twinkle.embedding'>;
  /** All numbers and texts of the loss but those that follow from what comes with each batch; flags are 0 or 1. */
  readonly config: Readonly<Record<string, number | string>>;
  readonly reduction: Reduction;
  /** Tokens of a sequence, of `batch-length`; 0 otherwise. */
  readonly length: number;
}
