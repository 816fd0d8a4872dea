import { describe, expect, test } from 'vitest';
import { parseBundles } from '../../../src/scheduler/bundle-expression.js';

const GPU = { GPU: 1 };

describe('parseBundles', () => {
  test.each([
    ['[{"GPU":1}]', [GPU]],
    ['[{"GPU":1}]*4', [GPU, GPU, GPU, GPU]],
    ['2 * [{"GPU":1}]', [GPU, GPU]],
    ['[{"GPU":1,"CPU":1}] + [{"GPU":1}]*3', [{ GPU: 1, CPU: 1 }, GPU, GPU, GPU]],
    [' [ {"GPU" : 1} , {"CPU": 0.5} ] * 2 + [] ', [GPU, { CPU: 0.5 }, GPU, { CPU: 0.5 }]],
    ['[{"a]b\\"":1}]*2', [{ 'a]b"': 1 }, { 'a]b"': 1 }]],
    ['[]', []],
    [
      '[{"__proto__":1,"b":-1.5e3,"c":"\\u0041","d":true,"e":null,"f":{}}]',
      [JSON.parse('{"__proto__":1,"b":-1500,"c":"A","d":true,"e":null,"f":{}}')],
    ],
    ['[[1]]*2', [[1], [1]]],
  ])('reads %s', (text, bundles) => {
    expect(parseBundles(text)).toEqual(bundles);
  });

  test.each([
    ['', 1, /a list in brackets but it ends/],
    ['{"GPU":1}', 1, /a list in brackets/],
    ['[{"GPU":1}', 11, /, or \] to close the list but it ends/],
    ['[{"GPU":1]', 10, /, or } to close the object/],
    ['[{"GPU:1}]', 3, /a name in double quotes/],
    ["[{'GPU':1}]", 3, /a name in double quotes/],
    ['[{"GPU":\'1\'}]', 9, /JSON with double quotes/],
    ['[{"GPU":}]', 9, /a JSON value but there is "}]"/],
    ['[{"GPU":1,}]', 11, /a name/],
    ['[{"GPU":01}]', 10, /, or } to close/],
    ['[{"GPU" 1}]', 9, /: after the name/],
    ['[{"GPU":1,"GPU":2}]', 11, /a name that is not there yet/],
    ['[{"GPU":1}] [{"GPU":1}]', 13, /\+, \* or the end/],
    ['[{"GPU":1}]*', 13, /a whole number after \*/],
    ['[{"GPU":1}]*x', 13, /a whole number after \*/],
    ['[{"GPU":1}]*2.5', 14, /\+, \* or the end but there is ".5"/],
    ['[{"GPU":1}]*0', 13, /1 or more/],
    ['[{"GPU":1}]*-3', 13, /1 or more/],
    ['[{"GPU":1}]*100000', 13, /at most 10000 bundles/],
    ['[{"GPU":1}]*99999999999999999999', 13, /at most 10000 bundles/],
    ['[{"GPU":1}]*9999 + [{"GPU":1}]*2', 32, /at most 10000 bundles/],
    ['[{"GPU":1}] +', 14, /a list in brackets/],
    ['4', 2, /\* after the number/],
    ['[{"GPU":1}]; process.exit()', 12, /\+, \* or the end/],
  ])('refuses %s at column %i', (text, column, words) => {
    expect(() => parseBundles(text)).toThrow(`column ${column}:`);
    expect(() => parseBundles(text)).toThrow(words);
  });

  test('is not led astray by depth', () => {
    expect(() => parseBundles('['.repeat(100_000))).toThrow(/at most 16 levels/);
    expect(() => parseBundles(`[${'{"a":'.repeat(100_000)}`)).toThrow(/at most 16 levels/);
  });
});
