import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { makeFolders } from '../../../src/runtime/folders.js';
import { headAddress } from '../../../src/runtime/head-address.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-folders-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const deep = (): string => join(folder, 'h'.repeat(100));
const socketOf = (home: string): string => headAddress(home).slice('ipc://'.length);

test('sockets lie in the home where their paths fit', () => {
  const { sockets, logs, incidents, remove } = makeFolders(folder, 'abc');
  expect(sockets).toBe(join(folder, 'run', 'abc'));
  expect(socketOf(folder)).toBe(join(folder, 'head', 'peers'));
  remove();
  expect([sockets, logs, incidents].map((path) => existsSync(path))).toEqual([false, true, true]);
});

test('a home that is too deep: short paths that are private, the same for the head at each start', () => {
  vi.stubEnv('TMPDIR', folder);
  const { sockets, remove } = makeFolders(deep(), 'abc');
  expect(dirname(sockets)).toBe(folder);
  expect(statSync(sockets).mode & 0o777).toBe(0o700);
  remove();
  const socket = socketOf(deep());
  expect(socketOf(deep())).toBe(socket);
  expect(Buffer.byteLength(socket)).toBeLessThanOrEqual(107);
  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
});

test('a folder of the head that others can reach is not used', () => {
  vi.stubEnv('TMPDIR', folder);
  const place = dirname(socketOf(deep()));
  rmSync(place, { recursive: true });
  mkdirSync(place);
  expect(() => socketOf(deep())).toThrow(/is not this user's alone/);
  rmSync(place, { recursive: true });
  mkdirSync(join(folder, 'mine'), { mode: 0o700 });
  symlinkSync(join(folder, 'mine'), place);
  expect(() => socketOf(deep())).toThrow(/is not this user's alone/);
});

test.each([
  ['too deep as well', () => join(folder, 't'.repeat(100)), /path is too long as well \(\d+ bytes of at most \d+\)/],
  ['not there', () => join(folder, 'no'), /there is no such folder/],
  ['a device', () => '/dev/null', /a part of that path is a file/],
])('a home that is too deep and a temporary folder that is %s', (_what, temporary, words) => {
  vi.stubEnv('TMPDIR', temporary());
  for (const act of [() => makeFolders(deep(), 'abc'), () => headAddress(deep())]) {
    expect(act).toThrow(words);
    expect(act).toThrow(/; give a shorter home with --home or TWINKLE_HOME, or another TMPDIR$/);
    expect(act).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  }
});
