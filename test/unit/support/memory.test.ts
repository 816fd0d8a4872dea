import { expect, it } from 'vitest';
import { steadyGrowth } from '../../support/vllm-load/memory.js';

/** A look every two seconds for ten minutes. */
const course = (liveMb: (minute: number) => number) =>
  Array.from({ length: 300 }, (_, at) => ({ atMs: at * 2000, rssMb: 0, liveMb: liveMb(at / 30), descriptors: 5 }));

it('takes no step for a leak, and a leak for one though it comes with noise', () => {
  // What a rank did that held 647.7 MB for its last four minutes.
  const steps = [635.2, 639, 639.3, 639.3, 641.6, 641.6, 643.3, 647.7, 647.7, 647.7, 647.8];
  expect(steadyGrowth(course((minute) => steps[Math.floor(minute)] ?? 0))).toBeLessThan(0.1);
  const saw = (minute: number): number => ((minute * 60) % 7) / 2;
  expect(steadyGrowth(course((minute) => 90 + saw(minute)))).toBeLessThan(0.1);
  expect(steadyGrowth(course((minute) => 90 + saw(minute) + minute))).toBeGreaterThan(0.8);
  expect(steadyGrowth(course((minute) => 600 + Math.floor(minute * 4) / 4))).toBeGreaterThan(0.8);
});
