import { beforeEach, describe, expect, it } from 'vitest';
import { RunProgress } from '../../../src/training/run-progress.js';
import type { StepReport, TrainingEvents } from '../../../src/training/types/progress.js';
import { Emitter } from '../../../src/util/emitter.js';
import { outcome } from './fake-trainer.js';

const labels = { run: 's:train:0', model: 'demo' };
let nowMs: number;
let progress: RunProgress;
let reports: StepReport[];
let waits: number[];
beforeEach(() => {
  nowMs = 1000;
  const events = new Emitter<TrainingEvents>();
  progress = new RunProgress(labels, events, () => nowMs);
  reports = [];
  waits = [];
  events.on('stepped', (report) => reports.push(report));
  events.on('sent', (of, waitedMs) => {
    expect(of).toEqual(labels);
    waits.push(waitedMs);
  });
});

const int64 = (name: string, lengths: readonly number[]) => ({
  name,
  dtype: 'int64',
  data: Buffer.alloc(8 * lengths.reduce((sum, length) => sum + length, 0)),
  shapes: lengths.map((length) => [length]),
});
const work = (lengths: number[], weights: readonly number[] | null = null, loss = 'cross_entropy') => ({
  loss,
  forward_only: false,
  lengths,
  inputs: [
    int64('target_tokens', lengths),
    ...(weights === null
      ? []
      : [{ ...int64('weights', lengths), dtype: 'float32', data: Buffer.from(Float32Array.from(weights).buffer) }]),
  ],
});
const loss = (sum: number) => outcome({ metrics: { 'loss:sum': sum } });
const at = (ms: number): void => {
  nowMs = ms;
};

describe('a step', () => {
  it('adds up what went into it, and takes from its first request on', () => {
    const first = progress.taken('pass');
    const second = progress.taken('pass');
    const step = progress.taken('step');
    at(1010);
    first();
    at(1030);
    second();
    progress.passed(work([3, 2], [0, 1, 1, 0, 0.5]), loss(5));
    progress.passed(work([4]), loss(2));
    at(1040);
    step();
    at(1110);
    progress.stepped({ 'grad_norm:mean': 0.5 });
    expect(reports).toEqual([
      {
        ...labels,
        step: 1,
        loss: 7,
        lossPerToken: 7 / 6.5,
        gradNorm: 0.5,
        datums: 3,
        tokens: 9,
        tokensPerSecond: 90,
        stepMs: 100,
        queueMs: 40,
      },
    ]);
    expect(waits).toEqual([10, 30, 40]);
    expect(progress).toMatchObject({ steps: 1, datums: 3, tokens: 9, last: reports[0] });
  });

  it('begins where the one before it ended when its requests went out earlier', () => {
    const parts = ['pass', 'step', 'pass', 'step'] as const;
    for (const part of parts) progress.taken(part)();
    progress.passed(work([10]), loss(4));
    at(1100);
    progress.stepped({});
    progress.passed(work([10]), loss(3));
    at(1150);
    progress.stepped({});
    expect(reports.map(({ loss: sum, stepMs, tokensPerSecond }) => [sum, stepMs, tokensPerSecond])).toEqual([
      [4, 100, 100],
      [3, 50, (20 * 1000) / 150],
    ]);
  });

  it('does not begin with a request that is no part of it', () => {
    progress.taken('other')();
    at(9000);
    progress.taken('pass')();
    progress.taken('step')();
    at(9025);
    progress.stepped({});
    expect(reports[0]).toMatchObject({ stepMs: 25, loss: null, lossPerToken: null, gradNorm: null });
    expect(progress.curve.points()).toEqual([]);
  });

  it('that fails takes its losses along', () => {
    for (const part of ['pass', 'step', 'pass', 'step'] as const) progress.taken(part)();
    progress.passed(work([1]), loss(100));
    at(1010);
    progress.stepFailed();
    progress.passed(work([1]), loss(1));
    at(1020);
    progress.stepped({});
    expect(reports.map(({ loss: sum, step, tokens }) => [step, sum, tokens])).toEqual([[1, 1, 1]]);
    expect(progress.tokens).toBe(2);
  });

  it('goes on counting where the optimizer is, and never back', () => {
    for (const made of [41, 42, 7, 8]) progress.stepped({ 'step:max': made });
    expect(reports.map(({ step }) => step)).toEqual([41, 42, 43, 44]);
    expect(progress.steps).toBe(4);
  });

  it('has the throughput of the last sixteen', () => {
    for (let step = 0; step < 20; step++) {
      progress.taken('pass')();
      progress.passed(work([step < 4 ? 1000 : 10]), loss(1));
      progress.taken('step')();
      at(nowMs + 100);
      progress.stepped({});
    }
    expect(reports.at(-1)?.tokensPerSecond).toBe(100);
  });
});

describe('what does not train', () => {
  it('is no part of a step: passes without a gradient, and those that failed', () => {
    progress.passed({ ...work([5]), forward_only: true }, loss(9));
    progress.passed(work([5]), outcome({ failure: { message: 'no', user: true } }));
    progress.passed(work([2]), loss(1));
    progress.stepped({});
    expect(reports[0]).toMatchObject({ loss: 1, tokens: 2, datums: 1 });
  });

  it.each([
    ['a loss without weights of targets', work([2], null, 'ppo'), 3],
    ['weights that are a gradient', work([2], [1, -1]), 3],
    ['targets of no weight', work([2], [0, 0]), 3],
    ['no targets', { ...work([2]), inputs: [] }, 3],
  ])('%s: has no loss per token', (_, one, sum) => {
    progress.passed(one, loss(sum));
    progress.stepped({});
    expect(reports[0]).toMatchObject({ loss: sum, lossPerToken: null });
    expect(progress.curve.points()).toEqual([{ step: 1, loss: sum, lossPerToken: null }]);
  });

  it('a loss that is not there or no number is none', () => {
    for (const metrics of [{}, { 'loss:sum': Number.POSITIVE_INFINITY }]) {
      progress.passed(work([1]), outcome({ metrics: metrics as Record<string, number> }));
      progress.stepped({});
    }
    expect(reports.map((report) => report.loss)).toEqual([null, null]);
    expect(progress.curve.points()).toEqual([]);
  });
});

it('reads weights wherever they lie, and counts 1 for datums without', () => {
  const odd = Buffer.concat([Buffer.of(0), Buffer.from(Float32Array.of(0.25, 0.5).buffer)]).subarray(1);
  const one = work([2, 3]);
  const weights = { name: 'weights', dtype: 'float32', data: odd, shapes: [[2], null] };
  progress.passed({ ...one, inputs: [...one.inputs, weights] }, loss(7.5));
  progress.stepped({});
  expect(reports[0]?.lossPerToken).toBe(2);
});
