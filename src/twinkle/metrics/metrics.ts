/** Metrics of an adapter by their names: state that survives as JSON. Pure. */
import { type Given, named } from '../arguments.js';
import { dpoMetric } from './dpo-metric.js';
import { embeddingMetric } from './embedding-metric.js';
import type { MetricKind, MetricValues } from './kind.js';
import { lossMetric } from './loss-metric.js';
import { cispoMetric, grpoMetric, gspoMetric, ppoMetric } from './policy-metric.js';
import { type Moment, type Pass, sampleOf } from './sample.js';
import { trainMetric } from './train-metric.js';

/** Those of an adapter: plain JSON. */
export interface Metrics {
  /** Unix ms. */
  readonly startedMs: number;
  readonly training: readonly MetricState[];
  readonly evaluation: readonly MetricState[];
}

/** One metric: plain JSON. */
interface MetricState {
  readonly name: string;
  readonly options: unknown;
  readonly totals: unknown;
}

const KINDS: Readonly<Record<string, MetricKind>> = {
  LossMetric: lossMetric,
  TrainMetric: trainMetric,
  DPOMetric: dpoMetric,
  GRPOMetric: grpoMetric,
  PPOMetric: ppoMetric,
  GSPOMetric: gspoMetric,
  CISPOMetric: cispoMetric,
  EmbeddingMetric: embeddingMetric,
};

const IMPOSSIBLE: Readonly<Record<string, string>> = {
  Accuracy: 'it needs the likeliest token of each place, and whole rows of logits are never held',
  PPOValueMetric: 'there is no head of values',
  CompletionRewardMetric: 'it counts rewards and times of the client: call its accumulate and calculate there',
};

const kindOf = (name: unknown): MetricKind => named('metric_cls', name, KINDS, IMPOSSIBLE);

function makeMetric(name: unknown, given: Given, nowMs: number): MetricState {
  const { options, start } = kindOf(name);
  return { name: name as string, options: options(given), totals: start(nowMs) };
}

/** What every adapter has. @param nowMs that time is counted from */
export function newMetrics(nowMs: number): Metrics {
  const all = ['LossMetric', 'TrainMetric'].map((name) => makeMetric(name, {}, nowMs));
  return { startedMs: nowMs, training: all, evaluation: all };
}

/**
 * One more metric.
 * @param training of training or of evaluation; null: of each
 * @throws `INVALID_REQUEST`
 */
export function addMetric(metrics: Metrics, name: unknown, training: boolean | null, given: Given): Metrics {
  const made = makeMetric(name, given, metrics.startedMs);
  return {
    ...metrics,
    training: training === false ? metrics.training : [...metrics.training, made],
    evaluation: training === true ? metrics.evaluation : [...metrics.evaluation, made],
  };
}

/** After a pass. @param training whether it was one of training */
export function passMade(metrics: Metrics, training: boolean, pass: Pass): Metrics {
  const sample = sampleOf(pass);
  const seen = listOf(metrics, training).map((metric) => ({
    ...metric,
    totals: kindOf(metric.name).add(metric.totals, sample, metric.options),
  }));
  return withList(metrics, training, seen);
}

/**
 * What metrics say of the passes since they were last asked, and what they go on with.
 * @param training those of training, or of evaluation
 * @param moment now, as it is when they are asked: a learning rate after its scheduler's step, and the norm that was clipped
 */
export function calculateMetrics(metrics: Metrics, training: boolean, nowMs: number, moment: Moment): Calculated {
  const list = listOf(metrics, training);
  const finished = list.map(({ name, options, totals }) => kindOf(name).finish(totals, moment, nowMs, options));
  const next = list.map((metric, at) => ({ ...metric, totals: finished[at]?.totals }));
  return {
    values: Object.assign({}, ...finished.map(({ values }) => values)) as MetricValues,
    metrics: withList(metrics, training, next),
  };
}

/** See {@link calculateMetrics}. */
export interface Calculated {
  readonly values: MetricValues;
  readonly metrics: Metrics;
}

const listOf = (metrics: Metrics, training: boolean): readonly MetricState[] =>
  training ? metrics.training : metrics.evaluation;

const withList = (metrics: Metrics, training: boolean, list: readonly MetricState[]): Metrics =>
  training ? { ...metrics, training: list } : { ...metrics, evaluation: list };
