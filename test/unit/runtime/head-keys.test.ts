import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { headKeys, joinKeys, knownHeadKeys } from '../../../src/runtime/head-keys.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-keys-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('made once, for their owner only', () => {
  expect(knownHeadKeys(folder)).toBeNull();
  const made = headKeys(folder);
  expect(headKeys(folder)).toEqual(made);
  expect(knownHeadKeys(folder)).toEqual(made);
  expect(readdirSync(folder)).toEqual(['keys.json']);
  expect(statSync(join(folder, 'keys.json')).mode & 0o777).toBe(0o600);
  const given = JSON.stringify(joinKeys(made));
  expect(given).toContain(made.server.publicKey);
  expect(given).not.toContain(made.server.secretKey);
});

test.each([
  ['', 'it is no JSON'],
  ['null', '`server` has no two keys'],
  ['{}', '`server` has no two keys'],
  ['{"server": {"publicKey": "short", "secretKey": 4}}', '`server` has no two keys'],
])('a damaged file (%s) is an error that says what to do, and stays as it is', (text, why) => {
  const path = join(folder, 'keys.json');
  writeFileSync(path, text);
  for (const read of [headKeys, knownHeadKeys]) {
    expect(() => read(folder)).toThrow(why);
    expect(() => read(folder)).toThrow('put a copy of it back, or remove it and start the head again');
  }
  expect(readFileSync(path, 'utf8')).toBe(text);
});
