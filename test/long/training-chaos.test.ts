import { expect, it } from 'vitest';
import { runTrainingChaos } from '../support/training-chaos.js';

it.each([1, 2])('50 kills of a server that trains and samples, seed %i', async (seed) => {
  const { acknowledged, lost, sampledAgain, savedBefore, seenTwice, wrong } = await runTrainingChaos({
    kills: 50,
    seed,
  });
  console.log(
    `${acknowledged} acknowledged, ${seenTwice} seen twice, ${lost} lost, ${sampledAgain} sampled again, ${savedBefore} saved before`,
  );
  expect(wrong).toEqual([]);
  expect(acknowledged).toBeGreaterThan(500);
  expect(sampledAgain).toBeGreaterThan(10);
});
