import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { generateKey, hashKey } from '../../../src/config/auth.js';
import { compile, type Wish } from './support.js';

let home = '';
beforeEach(() => {
  home = join(mkdtempSync(join(tmpdir(), 'twinkle-auth-')), 'home');
});
afterEach(() => rmSync(join(home, '..'), { recursive: true }));

const auth = async (wish: Wish) =>
  (await compile({ mayWrite: true, ...wish, flags: { home, ...wish.flags } })).config.auth;

test.each([
  [{ host: '127.0.0.1' }],
  [{ host: 'localhost' }],
  [{ host: '::1' }],
  [{ host: '127.9.9.9' }],
  [{ uds: '/tmp/x' }],
])('this machine only (%j) needs no key', async (flags) => {
  expect(await auth({ flags })).toEqual({ mode: 'anonymous', keyHashes: [], generatedKey: null });
  expect(existsSync(home)).toBe(false);
});

test('keys of flags, and of the environment with commas, are kept as hashes', async () => {
  const hashes = [hashKey('one'), hashKey('two')];
  expect(await auth({ flags: { 'api-key': ['one', 'two', 'one'] } })).toEqual({
    mode: 'keys',
    keyHashes: hashes,
    generatedKey: null,
  });
  expect((await auth({ env: { TWINKLE_API_KEY: 'one, two' } })).keyHashes).toEqual(hashes);
  expect((await auth({ yaml: 'api-key: one\n' })).keyHashes).toEqual([hashes[0]]);
});

test('a wrong key is refused without being repeated', async () => {
  const refused = auth({ flags: { 'api-key': ['sesame open'] } });
  await expect(refused).rejects.toThrow('expected keys of printable ASCII without spaces for `--api-key`');
  await expect(refused).rejects.not.toThrow('sesame');
  await expect(auth({ env: { TWINKLE_API_KEY: 'sesame,' } })).rejects.not.toThrow('sesame');
});

test('--no-auth turns it off, and contradicts a key', async () => {
  expect((await auth({ flags: { 'no-auth': true, host: '0.0.0.0' } })).mode).toBe('off');
  await expect(auth({ flags: { 'no-auth': true, 'api-key': ['x'] } })).rejects.toThrow(
    'either `--no-auth` or `--api-key`',
  );
});

test('beyond this machine a key is generated once, kept privately, and used again', async () => {
  const first = await auth({ flags: { host: '0.0.0.0' } });
  const path = join(home, 'api-key');
  const key = readFileSync(path, 'utf8').trim();
  expect(first).toEqual({ mode: 'keys', keyHashes: [hashKey(key)], generatedKey: key });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(home).mode & 0o777).toBe(0o700);
  expect(readdirSync(home)).toEqual(['api-key']);
  expect(await auth({ flags: { host: '0.0.0.0' } })).toEqual({ ...first, generatedKey: null });
});

test('two starts at once end with one key', async () => {
  const both = await Promise.all([auth({ flags: { host: '0.0.0.0' } }), auth({ flags: { host: '0.0.0.0' } })]);
  expect(both[0]?.keyHashes).toEqual(both[1]?.keyHashes);
});

test('a key file that others can read is closed, with a warning; a broken one is refused', async () => {
  await auth({ flags: { host: '0.0.0.0' } });
  const path = join(home, 'api-key');
  chmodSync(path, 0o644);
  const { warnings } = await compile({ mayWrite: true, flags: { home, host: '0.0.0.0' } });
  expect(warnings).toEqual([expect.stringContaining('could be read by other users')]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(path, 'two words\n');
  await expect(auth({ flags: { host: '0.0.0.0' } })).rejects.toThrow('expected one API key in');
});

test('a dry run and a refused start write nothing', async () => {
  expect((await auth({ flags: { host: '0.0.0.0' }, mayWrite: false })).mode).toBe('keys');
  await expect(auth({ flags: { host: '0.0.0.0', gpus: '0' } })).rejects.toMatchObject({ code: 'DEVICE_MISSING' });
  expect(existsSync(home)).toBe(false);
});

test('generated keys: form and difference', () => {
  const keys = Array.from({ length: 200 }, generateKey);
  for (const key of keys) expect(key).toMatch(/^tml-[0-9A-Za-z]{43}$/);
  expect(new Set(keys).size).toBe(200);
});
