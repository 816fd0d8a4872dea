import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { exportsFor } from '../../../src/runtime/export-checkpoint.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'export-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

it('lets nobody name a folder where others ask, and nobody name what is none', () => {
  expect(() => exportsFor(false).check('/tmp')).toThrow('clients name no folders of its disk');
  const all = exportsFor(true);
  expect(all.check('/tmp/x')).toBe('/tmp/x');
  for (const wrong of ['x/y', '', 3, null, '/tmp/\0'])
    expect(() => all.check(wrong), String(wrong)).toThrow('expected the absolute path of a folder for `save_dir`');
});

it('copies files in place of what was there, and leaves nothing half done', async () => {
  const { copy } = exportsFor(true);
  const source = join(folder, 'a.bin');
  writeFileSync(source, 'one');
  const target = join(folder, 'out', 'run', 'weights', 'x');
  mkdirSync(target, { recursive: true });
  writeFileSync(join(target, 'old.bin'), 'old');
  const files = [{ name: 'a.bin', path: source }];
  expect(await copy(files, join(folder, 'out'), ['run', 'weights', 'x'])).toBe(target);
  expect(readdirSync(target)).toEqual(['a.bin']);
  expect(readFileSync(join(target, 'a.bin'), 'utf8')).toBe('one');
  const missing = [...files, { name: 'b.bin', path: join(folder, 'nothing') }];
  await expect(copy(missing, join(folder, 'out'), ['run', 'weights', 'x'])).rejects.toThrow(
    'could not be copied to `save_dir`: ENOENT',
  );
  expect(readdirSync(join(folder, 'out', 'run', 'weights'))).toEqual(['x']);
  expect(readdirSync(target)).toEqual(['a.bin']);
});
