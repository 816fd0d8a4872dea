/** How much the target tokens of a work count: what its loss is divided by to be comparable from step to step. Pure. */
import type { TrainInput, TrainWork } from '../protocol/training.js';

/** Sum of the weights of a cross entropy, 1 where none are given; null for other losses, and where a weight is negative. */
export function targetWeight({ inputs, loss }: Pick<TrainWork, 'inputs' | 'loss'>): number | null {
  if (loss !== 'cross_entropy') return null;
  const targets = inputs.find(({ name }) => name === 'target_tokens');
  if (targets === undefined) return null;
  const weights = inputs.find(({ name }) => name === 'weights');
  let sum = 0;
  targets.shapes.forEach((shape, datum) => {
    if (shape !== null && (weights?.shapes[datum] ?? null) === null)
      sum += shape.reduce((size, axis) => size * axis, 1);
  });
  if (weights === undefined) return sum;
  for (const weight of floats(weights)) {
    // A gradient in the guise of weights, as custom losses send it.
    if (weight < 0) return null;
    sum += weight;
  }
  return sum;
}

function floats({ data }: TrainInput): Float32Array {
  const { buffer, byteLength, byteOffset } = data.byteOffset % 4 === 0 ? data : Uint8Array.from(data);
  return new Float32Array(buffer, byteOffset, byteLength / 4);
}
