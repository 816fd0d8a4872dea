import { describe, expect, it } from 'vitest';
import { codeName } from '../../../src/work/code-name.js';

describe('the name of code', () => {
  it.each([
    ['work.py:square', 'file:/here/work.py:square', 'square'],
    ['./sub dir/work.py:Outer.Inner', 'file:/here/sub dir/work.py:Outer.Inner', 'Outer.Inner'],
    ['../work.py:_f2', 'file:/work.py:_f2', '_f2'],
    ['/abs/work.py:f', 'file:/abs/work.py:f', 'f'],
    ['module:f', 'import:module:f', 'f'],
    ['package.module:Class', 'import:package.module:Class', 'Class'],
  ])('%s', (written, key, name) => {
    expect(codeName(written, '/here')).toEqual({ key, name });
  });

  it.each([
    '',
    'square',
    'work.py',
    'work.py:',
    ':square',
    'work.py:a b',
    'work.py:1a',
    'a:b:c',
    'work.py:a.',
    'w.py:f()',
  ])('is not %j', (written) => {
    expect(() => codeName(written, '/here')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: `expected \`file.py:Name\` or \`package.module:Name\` but received \`${written}\``,
      }),
    );
  });

  it.each(['a-b', 'a..b', './module', '1a'])('has no module %j', (module) => {
    expect(() => codeName(`${module}:f`, '/here')).toThrow(
      `expected a file that ends with .py, or a module, before the colon but received \`${module}\``,
    );
  });
});
