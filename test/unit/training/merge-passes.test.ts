import { expect, it } from 'vitest';
import type { TrainOutcome } from '../../../src/protocol/training.js';
import { mergePasses } from '../../../src/training/merge-passes.js';

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const part = (values: number[], changes: Partial<TrainOutcome> = {}): TrainOutcome => ({
  failure: null,
  shapes: values.map(() => [1]),
  outputs: values.length === 0 ? [] : [{ name: 'logprobs', data: floats(...values) }],
  metrics: values.length === 0 ? {} : { 'loss:sum': values.length },
  ...changes,
});
const failed = (message: string, user = false): TrainOutcome => part([], { shapes: [], failure: { message, user } });
const merged = (...ranks: TrainOutcome[]) => mergePasses(ranks.map((outcome) => ({ outcomes: [outcome] }))).outcomes[0];

it('puts the datums of all ranks in their order, and adds losses up', () => {
  expect(merged(part([-1, -2]), part([]), part([-3]))).toEqual({
    failure: null,
    shapes: [[1], [1], [1]],
    outputs: [{ name: 'logprobs', data: Buffer.from(floats(-1, -2, -3)) }],
    metrics: { 'loss:sum': 3 },
  });
});

it('takes the words of the rank that failed', () => {
  expect(merged(part([1]), failed(''), failed('no memory'))).toEqual({
    failure: { message: 'no memory', user: false },
    shapes: [],
    outputs: [],
    metrics: {},
  });
  expect(merged(failed('datum 3: …', true), failed('datum 3: …', true))?.failure?.user).toBe(true);
});

it('keeps works apart', () => {
  const [first, second] = [part([1]), part([2])];
  const { outcomes } = mergePasses([{ outcomes: [first, failed('x')] }, { outcomes: [second, failed('')] }]);
  expect(outcomes.map(({ failure, shapes }) => [failure?.message ?? null, shapes.length])).toEqual([
    [null, 2],
    ['x', 0],
  ]);
});

it('refuses answers that do not fit together', () => {
  expect(() => mergePasses([{ outcomes: [part([1])] }, { outcomes: [] }])).toThrow('different works');
  const odd = part([1], { metrics: { 'x:mean': 1 } });
  expect(() => merged(odd, odd)).toThrow('cannot be merged');
});
