import { expect, test } from 'vitest';
import { count, figure, milliseconds } from '../../../../src/cli/list/figures.js';

test.each([
  [null, '-'],
  [0, '0'],
  [2.5, '2.5'],
  [120, '120'],
  [12.345678, '12.35'],
  [0.0123456, '0.01235'],
  [123456, '1.235e5'],
  [1.2e-9, '1.2e-9'],
  [-1e-9, '-1e-9'],
])('a figure of %s is %s', (value, text) => {
  expect(figure(value)).toBe(text);
});

test.each([
  [null, '-'],
  [0, '0'],
  [9999.4, '9999'],
  [10_000, '10k'],
  [12_345, '12.3k'],
  [999_499, '999k'],
  [999_500, '1M'],
  [4_560_000, '4.56M'],
  [7.8e9, '7.8G'],
])('a count of %s is %s', (value, text) => {
  expect(count(value)).toBe(text);
});

test.each([
  [null, '-'],
  [0.44, '0.4 ms'],
  [23.4, '23 ms'],
  [1499, '1.5 s'],
  [61_000, '61 s'],
])('%s ms are %s', (value, text) => {
  expect(milliseconds(value)).toBe(text);
});
