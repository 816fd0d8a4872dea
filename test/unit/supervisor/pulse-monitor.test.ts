import { expect, it } from 'vitest';
import type { Beat } from '../../../src/protocol/frames.js';
import { PulseMonitor } from '../../../src/supervisor/pulse-monitor.js';

const beat = (phase: string, busy_ms: number, waits: string | null = null): Beat => ({
  ...{ t: 'beat', seq: 0, phase, busy_ms, waits, stats: null },
});
const make = (): PulseMonitor =>
  new PulseMonitor({ silenceMs: 100, stallMs: 1000, beatMs: 10, name: (rank) => `rank ${rank}` });

it('finds the rank that has fallen silent, and no other', () => {
  const monitor = make();
  monitor.expect(0, 0);
  monitor.expect(1, 0);
  expect(monitor.silent(99)).toBeNull();
  monitor.beat(0, beat('idle', 0), 90);
  expect(monitor.silent(100)).toMatchObject({ rank: 1 });
  monitor.clear();
  expect(monitor.silent(10_000)).toBeNull();
});

it('says in which phase a rank fell silent', () => {
  const monitor = make();
  monitor.expect(0, 0);
  monitor.beat(0, beat('load_model', 3), 5);
  expect(monitor.silent(105)).toEqual({
    rank: 0,
    reason: 'rank 0 has sent no sign of life for 100 ms, last in `load_model`',
  });
});

it('bounds silence by the bound of a step once the start is over, and by some beats at least', () => {
  const policy = { silenceMs: 100, beatMs: 10, name: (rank: number) => `rank ${rank}` };
  for (const [stallMs, limit] of [
    [50, 50],
    [5, 30],
    [500, 100],
  ] as const) {
    const monitor = new PulseMonitor({ ...policy, stallMs });
    monitor.expect(0, 0);
    monitor.silent(limit - 10, true);
    expect(monitor.silent(limit - 1, true)).toBeNull();
    expect(monitor.silent(limit - 1, false)).toBeNull();
    expect(monitor.silent(limit, true)).toMatchObject({ rank: 0 });
  }
});

it('finds a main loop that hangs in a step; a long load is judged by its phases instead', () => {
  const monitor = make();
  expect(monitor.beat(0, beat('step', 999), 0)).toBeNull();
  expect(monitor.beat(0, beat('weights', 5000), 0)).toBeNull();
  expect(monitor.beat(0, beat('step', 1000), 0)).toEqual({
    rank: 0,
    reason: 'rank 0 has been inside one engine step for 1000 ms: it hangs',
  });
});

it('blames a silent member for the step in which another waits', () => {
  const monitor = make();
  monitor.beat(1, beat('step', 1), 0);
  monitor.beat(2, beat('step', 900), 995);
  expect(monitor.beat(0, beat('step', 1000), 1000)).toEqual({
    rank: 1,
    reason: 'rank 1 has sent no sign of life for 1000 ms, last in `step`; rank 0 is in one engine step',
  });
});

it('blames the one that works for a step in which others wait for it, in any order of their beats', () => {
  for (const order of [
    [0, 1, 2],
    [1, 0, 2],
    [2, 1, 0],
  ]) {
    const monitor = make();
    const beats = [beat('step', 1001, 'all_reduce'), beat('step', 1000), beat('step', 1002, 'execute_model of rank 0')];
    // A round before the limit: each has said something.
    for (const rank of order) monitor.beat(rank, { ...(beats[rank] as Beat), busy_ms: 990 }, 990);
    const verdicts = order.map((rank) => monitor.beat(rank, beats[rank] as Beat, 1000));
    expect(verdicts.map((verdict) => verdict?.rank)).toEqual([1, 1, 1]);
  }
});

it('does not take one that idles, or has just begun, for the one that others wait for', () => {
  const monitor = make();
  monitor.beat(1, beat('idle', 0), 995);
  monitor.beat(2, beat('step', 29), 996);
  const verdict = monitor.beat(0, beat('step', 1000, 'recv'), 1000);
  expect(verdict).toEqual({
    rank: 0,
    reason: 'rank 0 has been inside one engine step for 1000 ms, waiting for others (recv): it hangs',
  });
});

it('does not blame ranks for a time in which nobody listened: a stopped or blocked Node', () => {
  const monitor = make();
  monitor.expect(0, 0);
  expect(monitor.silent(10)).toBeNull();
  expect(monitor.silent(60_000)).toBeNull();
  for (let now = 60_010; now < 60_100; now += 10) expect(monitor.silent(now)).toBeNull();
  expect(monitor.silent(60_100)).toMatchObject({ rank: 0 });
});
