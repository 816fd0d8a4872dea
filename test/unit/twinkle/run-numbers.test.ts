import { expect, it } from 'vitest';
import { RunNumbers } from '../../../src/twinkle/run-numbers.js';

const training = (runs: readonly string[] = [], saved: readonly string[] = []) => ({
  runs: () => runs.map((id) => ({ id })) as never,
  checkpoints: { of: () => saved.map((run) => ({ path: { run } })) } as never,
});

it('counts up in each session, also while nothing is left of the runs before', () => {
  const numbers = new RunNumbers(training());
  expect(['a', 'a', 'b', 'a'].map((session) => numbers.next('t', session))).toEqual([0, 1, 0, 2]);
});

it('goes on behind runs and checkpoints that a process before this one made', () => {
  const numbers = new RunNumbers(training(['a:train:4', 'b:train:9'], ['a:train:6']));
  expect(['a', 'b', 'c'].map((session) => numbers.next('t', session))).toEqual([7, 10, 0]);
});
