import { expect, it } from 'vitest';
import { isName } from '../../../src/training/checkpoint-path.js';
import { savedName } from '../../../src/twinkle/saved-name.js';
import { randomFrom } from '../../support/random.js';

it.each([
  ['step 1/a', 'step_1_a'],
  ['twinkle-epoch-0', 'twinkle-epoch-0'],
  ['v1.2', 'v1_2'],
  ['-x', '_-x'],
  ['..', '__'],
  [null, 'checkpoint-step-7'],
])('%j is called %s', (written, name) => {
  expect(savedName(written, 7, null)).toBe(name);
});

it('a name of its own ends with the time', () => {
  expect(savedName('x', 7, new Date(0))).toBe('x-19700101000000000');
  expect(savedName(null, 7, new Date(0))).toBe('checkpoint-step-7-19700101000000000');
});

it.each([[''], [3], [{}], [false]])('%j is no name', (written) => {
  expect(() => savedName(written, 0, null)).toThrow('expected a name for `name`');
});

it('whatever is written makes the name of a folder', () => {
  const random = randomFrom(3);
  for (let time = 0; time < 500; time++) {
    const size = 1 + Math.floor(random() * 200);
    const written = String.fromCharCode(...Array.from({ length: size }, () => Math.floor(random() * 400)));
    for (const at of [null, new Date(0)]) expect(isName(savedName(written, 0, at)), JSON.stringify(written)).toBe(true);
  }
});
