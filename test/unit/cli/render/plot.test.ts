import { describe, expect, test } from 'vitest';
import { plot } from '../../../../src/cli/render/plot.js';
import { isPlain } from '../../../../src/cli/render/style.js';

const options = { width: 30, height: 5, ascii: false, paint: (_: unknown, text: string) => text };
const points = (...ys: readonly number[]) => ys.map((y, at) => ({ x: at + 1, y }));
const falling = points(...Array.from({ length: 24 }, (_, at) => 10 * 0.8 ** at));

describe('a curve', () => {
  test('in dots, with its extremes, its middle and its ends', () => {
    expect(plot(falling, options)).toEqual([
      '10.00 ┤⢳⡀',
      '      │ ⠳⡄',
      ' 5.03 ┤  ⠙⢦⡀',
      '      │    ⠙⠲⢤⣀',
      ' 0.06 ┤       ⠈⠙⠒⠒⠦⠤⠤⠤⣄⣀⣀⣀⣀⣀⣀⣀',
      '      └───────────────────────',
      '       1                    24',
    ]);
  });

  test('in ASCII', () => {
    expect(plot(falling, { ...options, ascii: true })).toEqual([
      '10.00 +**',
      '      | **',
      ' 5.03 +  ***',
      '      |    ******',
      ' 0.06 +         **************',
      '      +-----------------------',
      '       1                    24',
    ]);
  });

  test('of one step is a dot in the middle, of level ones a line', () => {
    expect(plot(points(2), { ...options, ascii: true })).toEqual([
      '3.00 +',
      '     |',
      '2.00 +*',
      '     |',
      '1.00 +',
      '     +------------------------',
      '      1',
    ]);
    expect(plot(points(0, 0), { ...options, ascii: true })[2]).toBe(` 0.00 +${'*'.repeat(23)}`);
    expect(plot([], options)).toEqual([]);
  });

  test('of more points than columns shows the lowest and the highest of each', () => {
    const noisy = points(...Array.from({ length: 512 }, (_, at) => (at === 256 ? 9 : at % 2)));
    const lines = plot(noisy, { ...options, ascii: true });
    expect(lines.slice(0, 5)).toEqual([
      '9.00 +            *',
      '     |            *',
      '4.50 +           **',
      '     |           **',
      '0.00 +************************',
    ]);
  });

  test.each([
    [
      [1_000_000, 4_000_000],
      ['4.000e+6', '2.500e+6', '1.000e+6'],
    ],
    [
      [0.5, 0.5001],
      ['0.5001000', '0.5000500', '0.5000000'],
    ],
    [
      [-3, 900],
      ['900', '449', '-3'],
    ],
    [
      [1, 1 + 1e-12],
      ['1.000e+0', '1.000e+0', '1.000e+0'],
    ],
  ])('of %j has labels of a length', (ys, labels) => {
    const lines = plot(points(...ys), options);
    expect([0, 2, 4].map((at) => lines[at]?.split('┤')[0]?.trim())).toEqual(labels);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(options.width);
  });

  test('in a colour, its axes without', () => {
    const [line] = plot(points(1, 0), { ...options, paint: (format, text) => `<${String(format)}>${text}</>` });
    expect(line).toMatch(/^1\.00 ┤<cyan>[^<]+<\/>$/);
  });
});

test.each([
  [{}, false],
  [{ LANG: 'en_US.UTF-8' }, false],
  [{ LANG: 'C' }, true],
  [{ LC_ALL: 'C.utf8', LANG: 'C' }, false],
  [{ LC_ALL: '', LC_CTYPE: 'POSIX', LANG: 'de_DE.UTF-8' }, true],
  [{ TERM: 'dumb', LANG: 'en_US.UTF-8' }, true],
] as const)('a terminal with %j shows ASCII alone: %s', (env, plain) => {
  expect(isPlain(env)).toBe(plain);
});
