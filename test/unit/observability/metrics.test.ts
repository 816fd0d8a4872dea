/** Plain numbers come out as Prometheus text. */
import { expect, test } from 'vitest';
import { Metrics } from '../../../src/observability/metrics.js';

test('counters, gauges and histograms', async () => {
  const metrics = new Metrics();
  const counter = metrics.counter('jobs_total', 'Jobs.', ['kind']);
  const cell = counter.with({ kind: 'a"b' });
  cell.value += 2;
  expect(counter.with({ kind: 'a"b' })).toBe(cell);
  let gauges: [string, number][] = [
    ['x', 1],
    ['y', 2],
  ];
  metrics.gauge('level', 'Level.', ['of'], (report) => {
    for (const [of, value] of gauges) report({ of }, value);
  });
  const histogram = metrics.histogram('wait_seconds', 'Wait.', [1, 2]).with({ of: 'x' });
  for (const value of [0.5, 1, 1.5, 9]) histogram.observe(value);
  const lines = async () => (await metrics.render()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const common = [
    'jobs_total{kind="a\\"b"} 2',
    'wait_seconds_bucket{of="x",le="1"} 2',
    'wait_seconds_bucket{of="x",le="2"} 3',
    'wait_seconds_bucket{of="x",le="+Inf"} 4',
    'wait_seconds_sum{of="x"} 12',
    'wait_seconds_count{of="x"} 4',
  ];
  expect((await lines()).sort()).toEqual([...common, 'level{of="x"} 1', 'level{of="y"} 2'].sort());
  // A series that is no longer reported is gone, and counters do not count twice.
  gauges = [['y', 3]];
  expect((await lines()).sort()).toEqual([...common, 'level{of="y"} 3'].sort());
  expect(await metrics.render()).toContain('# TYPE wait_seconds histogram');
});

test('two registries know nothing of each other, and a name is taken once in each', () => {
  const [one, two] = [new Metrics(), new Metrics()];
  one.counter('jobs_total', 'Jobs.', []);
  expect(() => two.counter('jobs_total', 'Jobs.', [])).not.toThrow();
  expect(() => one.counter('jobs_total', 'Jobs.', [])).toThrow(/already been registered/);
});
