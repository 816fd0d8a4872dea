import { expect, it } from 'vitest';
import { runChaos } from '../support/chaos.js';

it.each([1, 2, 3])('100 random kills under load, seed %i', async (seed) => {
  const { whole, cut, wrong } = await runChaos({ kills: 100, seed, workers: 12 });
  console.log(`seed ${seed}: ${whole} whole, ${cut} cut`);
  expect(wrong).toEqual([]);
  expect(whole).toBeGreaterThan(100);
});
