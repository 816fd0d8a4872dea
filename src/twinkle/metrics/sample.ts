/** What metrics see of a pass. */
import type { TrainOutcome } from '../../protocol/training.js';
import type { CompiledWork } from '../losses/compile.js';
import type { Sequence } from '../losses/sequence.js';
import type { LossSpec } from '../losses/spec.js';

type Rows = readonly (readonly number[])[];

/** One pass, a row for each sequence. Null: it has none. */
export interface Sample {
  readonly sequences: readonly Sequence[];
  /** Log-probabilities of targets; those where none counts mean nothing. */
  readonly logps: Rows | null;
  readonly entropies: Rows | null;
  readonly embeddings: Rows | null;
  readonly loss: number | null;
  /** What the loss is a sum over; null: it is a mean. */
  readonly tokens: number | null;
}

/** How far the training is, when metrics are asked for. */
export interface Moment {
  /** Of each group of parameters; empty without an optimizer. The client's own server has two groups: with weight decay, and without. */
  readonly lrs: readonly number[];
  /** Passes with backward so far. */
  readonly passes: number;
  /** Of these, how many make a step: at least 1. */
  readonly accumulation: number;
  /** As it was last computed; 0: never. */
  readonly gradNorm: number;
}

/** A pass that came off. */
export interface Pass {
  readonly compiled: CompiledWork;
  readonly spec: LossSpec;
  readonly outcome: TrainOutcome;
}

/** What it shows. */
export function sampleOf({ compiled, outcome, spec }: Pass): Sample {
  const { denominator, hasLoss, sequences } = compiled;
  return {
    sequences,
    logps: output(outcome, 'logprobs'),
    entropies: output(outcome, 'entropies'),
    embeddings: output(outcome, 'embeddings'),
    loss: hasLoss ? (outcome.metrics['loss:sum'] ?? null) : null,
    tokens: spec.reduction === 'token-sum' ? denominator : null,
  };
}

/** One output of all datums, a row for each; null: there is none. */
export function output({ outputs, shapes }: Pick<TrainOutcome, 'outputs' | 'shapes'>, name: string): Rows | null {
  const found = outputs.find((one) => one.name === name);
  if (found === undefined) return null;
  // Bytes of a message may begin anywhere; floats may not.
  const { buffer, byteLength, byteOffset } = Uint8Array.from(found.data);
  const values = new Float32Array(buffer, byteOffset, byteLength / 4);
  let at = 0;
  return shapes.map((shape) => {
    const size = shape.reduce((product, axis) => product * axis, 1);
    at += size;
    return [...values.subarray(at - size, at)];
  });
}
