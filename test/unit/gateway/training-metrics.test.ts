import { beforeEach, expect, test } from 'vitest';
import { trainingMetrics } from '../../../src/gateway/training-metrics.js';
import { Metrics } from '../../../src/observability/metrics.js';
import type { RunStatus, StepReport, TrainingEvents } from '../../../src/training/types/progress.js';
import { Emitter } from '../../../src/util/emitter.js';
import { run } from '../cli/list/fixtures.js';

let metrics: Metrics;
let events: Emitter<TrainingEvents>;
let runs: RunStatus[];
let stop: () => void;
beforeEach(() => {
  metrics = new Metrics();
  events = new Emitter();
  runs = [];
  const watch = { runs: () => runs, run: () => null, on: events.on.bind(events) };
  stop = trainingMetrics(metrics, watch);
});

/** The lines of a metric. */
const series = async (name: string): Promise<string[]> =>
  (await metrics.render()).split('\n').filter((line) => line.startsWith(name));
const report: StepReport = {
  run: 'r',
  model: 'demo',
  step: 1,
  loss: 1,
  lossPerToken: null,
  gradNorm: null,
  tokensPerSecond: null,
  datums: 2,
  tokens: 30,
  stepMs: 40,
  queueMs: 3,
};

test('counts by model, over the ends of runs', async () => {
  events.emit('stepped', report);
  events.emit('stepped', { ...report, run: 'other', stepMs: 4000 });
  events.emit('stepped', { ...report, model: 'big', tokens: 7 });
  events.emit('sent', { run: 'r', model: 'demo' }, 2);
  expect(await series('twinkle_training_steps_total')).toEqual([
    'twinkle_training_steps_total{model="demo"} 2',
    'twinkle_training_steps_total{model="big"} 1',
  ]);
  expect(await series('twinkle_training_tokens_total{model="demo"}')).toEqual([
    'twinkle_training_tokens_total{model="demo"} 60',
  ]);
  expect(await series('twinkle_training_datums_total{model="demo"}')).toEqual([
    'twinkle_training_datums_total{model="demo"} 4',
  ]);
  expect(await series('twinkle_training_step_seconds_sum{model="demo"}')).toEqual([
    'twinkle_training_step_seconds_sum{model="demo"} 4.04',
  ]);
  expect(await series('twinkle_training_queue_seconds_bucket{model="demo",le="0.0025"}')).toEqual([
    'twinkle_training_queue_seconds_bucket{model="demo",le="0.0025"} 1',
  ]);
  stop();
  events.emit('stepped', report);
  expect(await series('twinkle_training_steps_total{model="demo"}')).toEqual([
    'twinkle_training_steps_total{model="demo"} 2',
  ]);
});

test('tells of each run while it is there', async () => {
  runs = [run({ id: 'a' }), run({ id: 'b', state: 'lost', loss: null, lossPerToken: null, gradNorm: null })];
  expect(await series('twinkle_training_run')).toEqual([
    'twinkle_training_runs{model="demo",state="starting"} 0',
    'twinkle_training_runs{model="demo",state="ready"} 1',
    'twinkle_training_runs{model="demo",state="parked"} 0',
    'twinkle_training_runs{model="demo",state="lost"} 1',
    'twinkle_training_run_steps_total{model="demo",run="a"} 150',
    'twinkle_training_run_steps_total{model="demo",run="b"} 150',
    'twinkle_training_run_tokens_total{model="demo",run="a"} 43680',
    'twinkle_training_run_tokens_total{model="demo",run="b"} 43680',
    'twinkle_training_run_loss{model="demo",run="a"} 12.3456',
    'twinkle_training_run_loss_per_token{model="demo",run="a"} 0.0216514',
    'twinkle_training_run_grad_norm{model="demo",run="a"} 3.5',
    'twinkle_training_run_tokens_per_second{model="demo",run="a"} 1234.4',
    'twinkle_training_run_tokens_per_second{model="demo",run="b"} 1234.4',
    'twinkle_training_run_step_seconds{model="demo",run="a"} 0.0367',
    'twinkle_training_run_step_seconds{model="demo",run="b"} 0.0367',
    'twinkle_training_run_queue_seconds{model="demo",run="a"} 0.0005',
    'twinkle_training_run_queue_seconds{model="demo",run="b"} 0.0005',
  ]);
  runs = [];
  expect(await series('twinkle_training_run')).toEqual([]);
});

test('of many runs those that were asked of last have series, and all are counted', async () => {
  runs = Array.from({ length: 300 }, (_, at) => run({ id: `r${at}`, lastRequest: at }));
  const shown = await series('twinkle_training_run_loss{');
  expect(shown).toHaveLength(100);
  expect(shown[0]).toContain('"r299"');
  expect(await series('twinkle_training_runs{model="demo",state="ready"}')).toEqual([
    'twinkle_training_runs{model="demo",state="ready"} 300',
  ]);
});

test('tells how far sampler and trainer of a run are apart, once they were compared', async () => {
  runs = [run({ id: 'a', samplerGap: 0.25 }), run({ id: 'b' })];
  expect(await series('twinkle_training_run_sampler_gap')).toEqual([
    'twinkle_training_run_sampler_gap{model="demo",run="a"} 0.25',
  ]);
});
