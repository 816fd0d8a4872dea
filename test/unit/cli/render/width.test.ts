import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clip, displayWidth, printable, wrap } from '../../../../src/cli/render/width.js';

const RED = '\u001b[31m';
const OFF = '\u001b[39m';

test('wide characters take two columns, combining marks none', () => {
  expect(displayWidth('abc')).toBe(3);
  expect(displayWidth('训练')).toBe(4);
  expect(displayWidth('e\u0301')).toBe(1);
  expect(displayWidth('🚀')).toBe(2);
  expect(displayWidth('…×·')).toBe(3);
});

test('what others named cannot drive the terminal', () => {
  expect(printable('a\u001b[2Jb\r\nc\u009b\u202ed')).toBe('a\ufffd[2Jb\ufffd\ufffdc\ufffd\ufffdd');
  expect(printable('训练 7b')).toBe('训练 7b');
});

test('clip cuts at columns, keeps colours and ends them', () => {
  expect(clip('abcdef', 6)).toBe('abcdef');
  expect(clip('abcdefg', 6)).toBe('abcde…');
  expect(clip(`${RED}abc${OFF}def`, 6)).toBe(`${RED}abc${OFF}def`);
  expect(clip(`${RED}abc${OFF}defg`, 4)).toBe(`${RED}abc…\u001b[0m`);
  expect(clip(`${RED}abcdefg${OFF}`, 4)).toBe(`${RED}abc…\u001b[0m`);
  // A wide character that would stand half outside goes.
  expect(clip('a训练', 4)).toBe('a训…');
  expect(clip('训练训', 4)).toBe('训…');
  expect(clip('', 4)).toBe('');
});

test('clip never exceeds the width and leaves what fits', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', '训', ' ', 'e\u0301') }),
      fc.integer({ min: 1, max: 12 }),
      (text, width) => {
        const cut = clip(text, width);
        expect(displayWidth(cut)).toBeLessThanOrEqual(width);
        if (displayWidth(text) <= width) expect(cut).toBe(text);
        else expect(cut.endsWith('…')).toBe(true);
      },
    ),
  );
});

test('wrap breaks at blanks only and loses no word', () => {
  expect(wrap('one two three', null)).toEqual(['one two three']);
  expect(wrap('one two three', 8)).toEqual(['one two', '  three']);
  expect(wrap('one extraordinarily', 8)).toEqual(['one', '  extraordinarily']);
  expect(wrap('extraordinarily', 8)).toEqual(['extraordinarily']);
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('a', 'bb', 'ccccc', '训练')),
      fc.integer({ min: 8, max: 20 }),
      (words, width) => {
        const lines = wrap(words.join(' '), width);
        expect(lines.join(' ').split(/ +/).filter(Boolean)).toEqual(words);
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width);
      },
    ),
  );
});
