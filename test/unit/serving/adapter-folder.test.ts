/** Adapters in folders: found, and never outside of theirs. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AdapterFolder } from '../../../src/serving/adapter-folder.js';

let base = '';
let root = '';

function adapter(path: string): void {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'adapter_config.json'), '{}');
}

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'twinkle-adapters-'));
  root = join(base, 'root');
  adapter(join(root, 'sql'));
  adapter(join(root, '.hidden'));
  adapter(join(base, 'outside'));
  adapter(join(base, 'root-beside'));
  mkdirSync(join(root, 'empty'));
  symlinkSync(join(base, 'outside'), join(root, 'out'));
  symlinkSync(join(base, 'root-beside'), join(root, 'beside'));
  symlinkSync(join(root, 'sql'), join(root, 'alias'));
  symlinkSync(join(root, 'nowhere'), join(root, 'dangling'));
  symlinkSync(root, join(base, 'link-to-root'));
});
afterAll(() => rmSync(base, { recursive: true }));

it('finds a folder, a link inside, and a root behind a link', async () => {
  const folder = new AdapterFolder(root);
  const sql = await realpath(join(root, 'sql'));
  expect(folder.has('sql')).toBe(true);
  expect((await folder.fetch('sql')).path).toBe(sql);
  expect((await folder.fetch('alias')).path).toBe(sql);
  expect((await new AdapterFolder(join(base, 'link-to-root')).fetch('sql')).path).toBe(sql);
});

it.each([
  'out',
  'beside',
  '../outside',
  '..',
  '.',
  '.hidden',
  'sql/../../outside',
  '/etc',
  'sql\0',
  'empty',
  'dangling',
  'none',
  '',
])('refuses %j, and tells no path', async (name) => {
  const refusal = await new AdapterFolder(root).fetch(name).catch((error: unknown) => error);
  expect(refusal).toMatchObject({ code: 'MODEL_NOT_FOUND', param: 'model' });
  expect(String(refusal)).not.toContain(base);
});

it('knows by the name alone what may not be one', () => {
  const folder = new AdapterFolder(root);
  for (const name of ['../outside', '..', '/etc', 'empty', 'none', '.hidden']) expect(folder.has(name)).toBe(false);
});
