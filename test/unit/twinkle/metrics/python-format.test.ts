import { describe, expect, it } from 'vitest';
import { exponential, fixed } from '../../../../src/twinkle/metrics/python-format.js';

describe('numbers as Python writes them', () => {
  // What Python 3.11 says to f'{value:.{digits}f}'.
  it.each([
    [0.5, 0, '0'],
    [1.5, 0, '2'],
    [2.5, 0, '2'],
    [0.125, 2, '0.12'],
    [0.375, 2, '0.38'],
    [-0.125, 2, '-0.12'],
    [0.15, 1, '0.1'],
    [1.005, 2, '1.00'],
    [99.9996, 3, '100.000'],
    [9.5, 0, '10'],
    [-0.00001, 2, '-0.00'],
    [-0, 1, '-0.0'],
    [123456789.5, 2, '123456789.50'],
    [Number.NaN, 2, 'nan'],
    [Number.POSITIVE_INFINITY, 2, 'inf'],
    [Number.NEGATIVE_INFINITY, 2, '-inf'],
  ])('%d to %d places', (value, digits, text) => {
    expect(fixed(value, digits)).toBe(text);
  });

  // And to f'{value:.{digits}e}'.
  it.each([
    [1e-5, 6, '1.000000e-05'],
    [0, 6, '0.000000e+00'],
    [2 ** -11, 6, '4.882812e-04'],
    [1234.5, 2, '1.23e+03'],
    [1.25, 1, '1.2e+00'],
    [1.75, 1, '1.8e+00'],
    [-3e-120, 3, '-3.000e-120'],
    [9.9999999, 3, '1.000e+01'],
    [Number.NaN, 6, 'nan'],
  ])('%d with an exponent, to %d places', (value, digits, text) => {
    expect(exponential(value, digits)).toBe(text);
  });
});
