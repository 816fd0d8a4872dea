/** What ranks made of a pass, as the client reads it. Pure. */
import type { TrainOutcome } from '../protocol/training.js';
import { output } from './metrics/sample.js';

/** The result of a forward: rows of equal length, filled up with zeros. */
export interface ForwardResult {
  readonly logits: null;
  /** [sequences, longest]; null: embeddings were asked for. */
  readonly logps: readonly (readonly number[])[] | null;
  readonly entropies?: readonly (readonly number[])[];
  /** [sentences, size]. */
  readonly embeddings?: readonly (readonly number[])[];
}

/** @param outcome that came to an end */
export function forwardResult(outcome: Pick<TrainOutcome, 'outputs' | 'shapes'>): ForwardResult {
  const of = (name: string) => output(outcome, name);
  const [logps, entropies, embeddings] = [of('logprobs'), of('entropies'), of('embeddings')];
  return {
    logits: null,
    logps: logps === null ? null : padded(logps),
    ...(entropies === null ? {} : { entropies: padded(entropies) }),
    ...(embeddings === null ? {} : { embeddings }),
  };
}

function padded(rows: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const longest = Math.max(...rows.map(({ length }) => length));
  return rows.map((row) => (row.length === longest ? row : [...row, ...Array<number>(longest - row.length).fill(0)]));
}
