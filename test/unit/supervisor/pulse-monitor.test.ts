import { expect, it } from 'vitest';
import type { Beat } from '../../../src/protocol/frames.js';
import { PulseMonitor } from '../../../src/supervisor/pulse-monitor.js';

const beat = (phase: string, busy_ms: number): Beat => ({ t: 'beat', seq: 0, phase, busy_ms, stats: null });

it('finds the rank that has fallen silent, and no other', () => {
  const monitor = new PulseMonitor({ silenceMs: 100, stallMs: 1000, name: (rank) => `rank ${rank}` });
  monitor.expect(0, 0);
  monitor.expect(1, 0);
  expect(monitor.silent(99)).toBeNull();
  monitor.beat(0, beat('idle', 0), 90);
  expect(monitor.silent(100)).toMatchObject({ rank: 1 });
  monitor.clear();
  expect(monitor.silent(10_000)).toBeNull();
});

it('finds a main loop that hangs in a step; a long load is judged by its phases instead', () => {
  const monitor = new PulseMonitor({ silenceMs: 100, stallMs: 1000, name: (rank) => `rank ${rank}` });
  expect(monitor.beat(0, beat('step', 999), 0)).toBeNull();
  expect(monitor.beat(0, beat('weights', 5000), 0)).toBeNull();
  expect(monitor.beat(0, beat('step', 1000), 0)).toContain('rank 0');
});

it('does not blame ranks for a time in which nobody listened: a stopped or blocked Node', () => {
  const monitor = new PulseMonitor({ silenceMs: 100, stallMs: 1000, name: (rank) => `rank ${rank}` });
  monitor.expect(0, 0);
  expect(monitor.silent(10)).toBeNull();
  expect(monitor.silent(60_000)).toBeNull();
  for (let now = 60_010; now < 60_100; now += 10) expect(monitor.silent(now)).toBeNull();
  expect(monitor.silent(60_100)).toMatchObject({ rank: 0 });
});
