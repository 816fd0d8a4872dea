/**
 * The `twinkle_training_*` metrics: counted by model as it happens, and of each run asked at the scrape. A run's series go with it, and there
 * are those of so many runs only.
 */
import type { Metrics } from '../observability/metrics.js';
import type { RunStatus, TrainingWatch } from '../training/types/progress.js';

const STEP_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];
const QUEUE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const STATES: readonly RunStatus['state'][] = ['starting', 'ready', 'parked', 'lost'];
/** Runs with series of their own: those that were asked of last. */
const RUNS_SHOWN = 100;

/** Register them in `metrics`. @returns how to stop counting */
export function trainingMetrics(metrics: Metrics, watch: TrainingWatch): () => void {
  const model = ['model'] as const;
  const steps = metrics.counter('twinkle_training_steps_total', 'Optimizer steps that were made.', model);
  const tokens = metrics.counter('twinkle_training_tokens_total', 'Tokens of the forward_backwards of steps.', model);
  const datums = metrics.counter('twinkle_training_datums_total', 'Datums of the forward_backwards of steps.', model);
  const stepSeconds = metrics.histogram(
    'twinkle_training_step_seconds',
    'From the first request of a step on its way to the ranks, or the end of the step before, to its end.',
    STEP_SECONDS,
  );
  const queueSeconds = metrics.histogram(
    'twinkle_training_queue_seconds',
    'From the arrival of a training request to its way to the ranks.',
    QUEUE_SECONDS,
  );
  registerRuns(metrics, watch);
  const stops = [
    watch.on('stepped', (report) => {
      const labels = { model: report.model };
      steps.with(labels).value += 1;
      tokens.with(labels).value += report.tokens;
      datums.with(labels).value += report.datums;
      stepSeconds.with(labels).observe(report.stepMs / 1e3);
    }),
    watch.on('sent', (of, waitedMs) => queueSeconds.with({ model: of.model }).observe(waitedMs / 1e3)),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function registerRuns(metrics: Metrics, watch: TrainingWatch): void {
  metrics.gauge('twinkle_training_runs', 'Runs in this state.', ['model', 'state'], (report) => {
    const runs = watch.runs();
    for (const model of new Set(runs.map((run) => run.model))) {
      for (const state of STATES) {
        report({ model, state }, runs.filter((run) => run.model === model && run.state === state).length);
      }
    }
  });
  const labels = ['model', 'run'] as const;
  metrics.counterOf('twinkle_training_run_steps_total', 'Optimizer steps of a run.', labels, (report) =>
    each(watch, (of, run) => report(of, run.steps)),
  );
  metrics.counterOf(
    'twinkle_training_run_tokens_total',
    'Tokens of the forward_backwards of a run.',
    labels,
    (report) => each(watch, (of, run) => report(of, run.tokens)),
  );
  const last = (name: string, help: string, read: (run: RunStatus) => number | null): void =>
    metrics.gauge(`twinkle_training_run_${name}`, help, labels, (report) =>
      each(watch, (of, run) => {
        const value = read(run);
        if (value !== null) report(of, value);
      }),
    );
  last('loss', 'Loss of the last step: the sum over its forward_backwards.', ({ loss }) => loss);
  last('loss_per_token', 'That loss by the weight of its target tokens.', ({ lossPerToken }) => lossPerToken);
  last('grad_norm', 'Norm of the gradient of the last step, before clipping.', ({ gradNorm }) => gradNorm);
  last('tokens_per_second', 'Of the last steps, while they were computed.', ({ tokensPerSecond }) => tokensPerSecond);
  last(
    'sampler_gap',
    'The most that log-probabilities of a sampler and of the trainer differed by, over the tokens of a prompt.',
    ({ samplerGap }) => samplerGap,
  );
  last('step_seconds', 'Time of the last step.', ({ stepMs }) => seconds(stepMs));
  last('queue_seconds', 'Longest wait of a request of the last step.', ({ queueMs }) => seconds(queueMs));
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1e3);

function each(watch: TrainingWatch, visit: (labels: { model: string; run: string }, run: RunStatus) => void): void {
  const runs = [...watch.runs()].sort((a, b) => b.lastRequest - a.lastRequest);
  for (const run of runs.slice(0, RUNS_SHOWN)) visit({ model: run.model, run: run.id }, run);
}
