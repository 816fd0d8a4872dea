import { expect, it } from 'vitest';
import { runChaos } from '../support/chaos.js';

it('12 random kills under load: no wrong token, no foreign error, no hang, no orphan', async () => {
  const { whole, cut, wrong } = await runChaos({ kills: 12, seed: 7, workers: 6 });
  expect(wrong).toEqual([]);
  expect(whole).toBeGreaterThan(12);
  expect(cut).toBeGreaterThan(0);
});
