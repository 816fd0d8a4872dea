/** What several ranks computed of the same works, each of its own datums, as one answer. Pure. */
import { TwinkleError } from '../errors.js';
import type { TrainFailure, TrainOutcome, TrainOutput, TrainPassResult } from '../protocol/training.js';

/** @param ranks in their order, which is that of the datums. @throws `INTERNAL` when they do not fit together */
export function mergePasses(ranks: readonly TrainPassResult[]): TrainPassResult {
  const [first] = ranks;
  if (first === undefined || ranks.some(({ outcomes }) => outcomes.length !== first.outcomes.length)) {
    throw new TwinkleError('INTERNAL', 'the ranks answered for different works');
  }
  return {
    outcomes: first.outcomes.map((_, at) => mergeOutcomes(ranks.map(({ outcomes }) => outcomes[at] as TrainOutcome))),
  };
}

function mergeOutcomes(parts: readonly TrainOutcome[]): TrainOutcome {
  const failure = failureOf(parts);
  if (failure !== null) return { failure, shapes: [], outputs: [], metrics: {} };
  const metrics: Record<string, number> = {};
  for (const part of parts) {
    for (const [name, value] of Object.entries(part.metrics)) metrics[name] = combined(name, metrics[name], value);
  }
  return { failure: null, shapes: parts.flatMap(({ shapes }) => shapes), outputs: outputsOf(parts), metrics };
}

/** A rank where it did not fail says nothing; those where it did may say different things. */
function failureOf(parts: readonly TrainOutcome[]): TrainFailure | null {
  const failures = parts.flatMap(({ failure }) => (failure === null ? [] : [failure]));
  return failures.find(({ message }) => message !== '') ?? failures[0] ?? null;
}

function outputsOf(parts: readonly TrainOutcome[]): TrainOutput[] {
  const names = parts.find(({ outputs }) => outputs.length > 0)?.outputs.map(({ name }) => name) ?? [];
  return names.map((name) => {
    const found = parts.flatMap(({ outputs }) => outputs.filter((output) => output.name === name));
    return { name, data: Buffer.concat(found.map(({ data }) => data)) };
  });
}

/** By the reduction that a name ends in. */
function combined(name: string, one: number | undefined, other: number): number {
  if (one === undefined) return other;
  if (name.endsWith(':sum')) return one + other;
  if (name.endsWith(':max')) return Math.max(one, other);
  throw new TwinkleError('INTERNAL', `the ranks answered metric \`${name}\`, which cannot be merged`);
}
