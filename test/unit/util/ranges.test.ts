import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatRanges, parseRanges } from '../../../src/util/ranges.js';

describe('parseRanges', () => {
  test.each([
    ['0-3,5', [0, 1, 2, 3, 5]],
    ['7', [7]],
    ['3, 1', [3, 1]],
    ['2-2', [2]],
  ])('%s', (text, numbers) => {
    expect(parseRanges(text, '--gpus')).toEqual(numbers);
  });

  test.each([
    ['', 'a part is empty'],
    ['0,,1', 'a part is empty'],
    ['3-0', 'runs backwards; write 0-3'],
    ['0-2,1', '1 is named twice'],
    ['a', '"a" is neither'],
    ['-1', '"-1" is neither'],
    ['1.5', '"1.5" is neither'],
  ])('refuses "%s"', (text, why) => {
    expect(() => parseRanges(text, '--gpus')).toThrowError(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(why) }),
    );
    expect(() => parseRanges(text, '--gpus')).toThrowError(/`--gpus`/);
  });

  test('formatRanges is its inverse', () => {
    expect(formatRanges([0, 1, 2, 5])).toBe('0-2,5');
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(40), { minLength: 1 }), (numbers) => {
        expect(parseRanges(formatRanges(numbers), 'x')).toEqual(numbers);
      }),
    );
  });
});
