import { expect, it } from 'vitest';
import { runTrainingChaos } from '../support/training-chaos.js';

it('10 kills of the server: nothing that it acknowledged is lost, forgotten or answered twice', async () => {
  const { acknowledged, sampledAgain, seenTwice, wrong } = await runTrainingChaos({ kills: 10, seed: 5 });
  expect(wrong).toEqual([]);
  expect(acknowledged).toBeGreaterThan(50);
  expect(seenTwice).toBeGreaterThan(acknowledged);
  expect(sampledAgain).toBeGreaterThan(0);
});
