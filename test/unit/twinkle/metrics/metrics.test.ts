import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { TrainOutcome } from '../../../../src/protocol/training.js';
import { type CompiledWork, compileForward, compileWork } from '../../../../src/twinkle/losses/compile.js';
import { readLoss } from '../../../../src/twinkle/losses/loss.js';
import {
  addMetric,
  calculateMetrics,
  type Metrics,
  newMetrics,
  passMade,
} from '../../../../src/twinkle/metrics/metrics.js';
import type { Moment } from '../../../../src/twinkle/metrics/sample.js';

interface PassMade {
  readonly labels?: readonly (readonly number[])[];
  readonly logps?: readonly (readonly number[])[];
  readonly old_logps?: unknown;
  readonly advantages?: unknown;
  readonly ref_logps?: unknown;
  readonly entropies?: readonly (readonly number[])[];
  readonly anchors?: readonly number[];
  readonly embeddings?: readonly (readonly number[])[];
  readonly loss: number;
}

interface Case {
  readonly name: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly reduction: string;
  readonly rounds: readonly {
    readonly passes: readonly PassMade[];
    readonly moment: Moment;
    readonly seconds: number;
    readonly values: Readonly<Record<string, unknown>>;
  }[];
}

const cases = JSON.parse(
  readFileSync(new URL('../../../fixtures/twinkle/metrics.json', import.meta.url), 'utf8'),
) as Case[];
const NOW: Moment = { lrs: [1e-4], passes: 1, accumulation: 1, gradNorm: 0 };
const START = 1_000_000;

/** Bytes at an odd place, as they come in a message. */
function bytes(rows: readonly (readonly number[])[]): Uint8Array {
  const floats = new Uint8Array(Float32Array.from(rows.flat()).buffer);
  const shifted = new Uint8Array(floats.length + 1);
  shifted.set(floats, 1);
  return shifted.subarray(1);
}

function outcomeOf({ embeddings, entropies, logps, loss }: PassMade): TrainOutcome {
  const named = Object.entries({ logprobs: logps, entropies, embeddings });
  const outputs = named.flatMap(([name, rows]) => (rows === undefined ? [] : [{ name, data: bytes(rows) }]));
  return {
    failure: null,
    shapes: (logps ?? embeddings ?? []).map((row) => [row.length]),
    outputs,
    metrics: { 'loss:sum': loss },
  };
}

/** By the loss that takes what the pass came with. */
function made(pass: PassMade, reduction: string) {
  const { advantages, anchors, embeddings, labels, old_logps, ref_logps } = pass;
  const features = (labels ?? embeddings ?? []).map((row, at) => ({
    tokens: row.map(() => 1),
    labels: labels === undefined ? null : row,
    anchor: anchors === undefined ? null : anchors[at] === 1,
    padding: 0,
  }));
  const [name, kwargs, call] =
    anchors !== undefined
      ? (['InfonceLoss', {}, { task: 'embedding' }] as const)
      : ref_logps !== undefined
        ? (['DPOLoss', {}, { ref_logps }] as const)
        : old_logps !== undefined
          ? (['GRPOLoss', {}, { old_logps, advantages }] as const)
          : (['CrossEntropyLoss', { reduction }, {}] as const);
  const spec = readLoss(name, kwargs);
  return { spec, compiled: compileWork(spec, features, call, false), outcome: outcomeOf(pass) };
}

/** As a journal keeps it. */
const kept = (metrics: Metrics): Metrics => JSON.parse(JSON.stringify(metrics)) as Metrics;

/** The metric alone, without those that every adapter has. */
function only(name: string, kwargs: Readonly<Record<string, unknown>>): Metrics {
  const { training } = addMetric(newMetrics(START), name, true, kwargs);
  return { startedMs: START, training: training.slice(-1), evaluation: [] };
}

function near(own: unknown, expected: unknown): void {
  if (typeof expected !== 'number') {
    expect(own).toEqual(expected);
    return;
  }
  expect(own).toBeTypeOf('number');
  // The peer computes in float32.
  expect(Math.abs((own as number) - expected)).toBeLessThanOrEqual(1e-5 * Math.abs(expected) + 2e-6);
}

describe('metrics beside twinkle-kit’s', () => {
  it.each(cases)('$name $kwargs $reduction', ({ kwargs, name, reduction, rounds }) => {
    let metrics = only(name, kwargs);
    for (const { moment, passes, seconds, values } of rounds) {
      for (const pass of passes) metrics = kept(passMade(metrics, true, made(pass, reduction)));
      const said = calculateMetrics(metrics, true, START + seconds * 1000, moment);
      metrics = kept(said.metrics);
      expect(Object.keys(said.values)).toEqual(Object.keys(values));
      for (const [key, expected] of Object.entries(values)) {
        if (key !== '_high_kl_records') near(said.values[key], expected);
        else
          (expected as Record<string, number>[]).forEach((record, at) => {
            const own = (said.values[key] as Record<string, number>[])[at] ?? {};
            for (const [field, value] of Object.entries(record)) near(own[field], value);
          });
      }
    }
  });
});

describe('metrics of an adapter', () => {
  const pass = { labels: [[-100, 5, 6]], logps: [[0, -1, -2]], loss: 3 };
  const seen = made(pass, 'sum');
  const say = (metrics: Metrics, training = true) => calculateMetrics(metrics, training, START + 2000, NOW).values;

  it('are the loss and the progress from the beginning', () => {
    expect(say(passMade(newMetrics(START), true, seen))).toEqual({
      loss: '1.5000',
      'learning rate': '1.000000e-04',
      iters: 0,
      'total time elapse': '2 seconds',
      speed: '0.00 iters/s',
    });
  });

  it('are those of training, of evaluation, or of each', () => {
    const all = passMade(passMade(newMetrics(START), true, seen), false, {
      ...seen,
      outcome: outcomeOf({ ...pass, loss: 8 }),
    });
    expect([say(all).loss, say(all, false).loss]).toEqual(['1.5000', '4.0000']);
    const both = addMetric(newMetrics(START), 'GRPOMetric', null, {});
    const training = addMetric(newMetrics(START), 'GRPOMetric', true, {});
    const evaluation = addMetric(newMetrics(START), 'GRPOMetric', false, {});
    const counts = [both, training, evaluation].map((one) => [one.training.length, one.evaluation.length]);
    expect(counts).toEqual([
      [3, 3],
      [3, 2],
      [2, 3],
    ]);
  });

  it('hear of no loss where none was asked for', () => {
    const compiled: CompiledWork = compileForward(
      seen.spec,
      [{ tokens: [1], labels: [1], anchor: null, padding: 0 }],
      {},
    );
    const after = passMade(newMetrics(START), false, { ...seen, compiled });
    expect(say(after, false).loss).toBe('0.0000');
    expect(calculateMetrics(after, false, START, { ...NOW, gradNorm: 2 }).values).not.toHaveProperty('grad_norm');
  });

  it('leave an odd pass out of pairs', () => {
    const metrics = addMetric(newMetrics(START), 'DPOMetric', true, {});
    const rows = { labels: [[5], [6], [7]], logps: [[-1], [-2], [-3]], loss: 1 };
    expect(say(passMade(metrics, true, made(rows, 'sum')))).not.toHaveProperty('logps/chosen');
    const even = { labels: [[5], [6]], logps: [[-1], [-2]], loss: 1 };
    expect(say(passMade(metrics, true, made(even, 'sum')))['logps/chosen']).toBe('-1.00');
  });

  it('say a learning rate without an optimizer not at all', () => {
    const after = passMade(newMetrics(START), true, seen);
    expect(Object.keys(calculateMetrics(after, true, START, { ...NOW, lrs: [] }).values)).toEqual([
      'loss',
      'iters',
      'total time elapse',
      'speed',
    ]);
  });
});

describe('what is refused', () => {
  const refusals: [string, unknown, Record<string, unknown>, string][] = [
    ['a mistyped name', 'GRPOMetrics', {}, 'for `metric_cls` but received "GRPOMetrics"; did you mean `GRPOMetric`?'],
    ['argmax', 'Accuracy', {}, 'Accuracy does not work here: it needs the likeliest token of each place'],
    ['values', 'PPOValueMetric', {}, 'there is no head of values'],
    [
      'rewards',
      'CompletionRewardMetric',
      {},
      'it counts rewards and times of the client: call its accumulate and calculate there',
    ],
    ['an unknown argument', 'DPOMetric', { betta: 1 }, 'DPOMetric has no argument `betta`; did you mean `beta`?'],
    [
      'an argument of one that takes none',
      'LossMetric',
      { beta: 1 },
      'LossMetric has no argument `beta`; it takes none',
    ],
    ['another label to ignore', 'GRPOMetric', { ignore_index: 0 }, 'expected -100'],
  ];
  it.each(refusals)('%s', (_, name, kwargs, message) => {
    const add = () => addMetric(newMetrics(START), name, null, kwargs);
    expect(add).toThrow(message);
    expect(add).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
