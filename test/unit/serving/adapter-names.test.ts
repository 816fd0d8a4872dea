/** Names of adapters: what may become part of a path, and what may not hide behind a model. */
import { join, sep } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { checkAdapterName, isFolderName } from '../../../src/serving/adapter-names.js';

it.each(['sql', 'checkpoint_000000', 'v1.2+x', 'a@b', 'größe', '模型', 'with space', '_x'])(
  '%j is a folder name',
  (name) => {
    expect(isFolderName(name)).toBe(true);
  },
);

it.each([
  '',
  '.',
  '..',
  '...',
  'a..b',
  '../a',
  'a/b',
  '/etc',
  'a\\b',
  'a\0',
  '\0',
  '.hidden',
  '-rf',
  '~',
  'a:b',
  'a\n',
  '%2e%2e',
  'x'.repeat(201),
])('%j is none', (name) => {
  expect(isFolderName(name)).toBe(false);
});

it('whatever is a folder name stays directly below its root', () => {
  const pieces = fc.constantFrom('.', '..', '/', '\\', '\0', 'a', 'é', ' ', '%', ':', '~', '-', '\u202e', '\n');
  const names = fc.oneof(
    fc.string(),
    fc.array(pieces).map((list) => list.join('')),
  );
  fc.assert(
    fc.property(names, (name) => {
      if (!isFolderName(name)) return;
      const path = join(`${sep}root`, name);
      expect(path).toBe(`${sep}root${sep}${name}`);
      expect(path.split(sep)).toHaveLength(3);
    }),
  );
});

it('an operator’s name may be almost anything but a model’s or a hidden one’s', () => {
  const check = (name: string) => checkAdapterName(name, ['demo', 'org/model']);
  for (const name of ['sql', 'org/adapter', 'a:b', '..', 'demo2', 'tinker', 'x'.repeat(200)])
    expect(() => check(name)).not.toThrow();
  for (const name of ['', 'demo', 'org/model', 'demo:sql', 'a\0', 'a\u007f', 'tinker://run/a', 'x'.repeat(201)]) {
    expect(() => check(name)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST', param: 'lora_name' }));
  }
});
