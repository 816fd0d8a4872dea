import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeTemporaryHome, sweepTemporaryHomes } from '../../../src/runtime/temporary-home.js';

const before = process.env.TMPDIR;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-homes-'));
  process.env.TMPDIR = folder;
});
afterEach(() => {
  if (before === undefined) delete process.env.TMPDIR;
  else process.env.TMPDIR = before;
  rmSync(folder, { recursive: true, force: true });
});

/** The name of a home of a process that is gone. */
function goneName(): string {
  const { pid } = spawnSync('true');
  return `twinkle-${pid}-1-ab12`;
}

/** A home of a process that is gone, made an hour ago. */
function abandoned(name = goneName()): string {
  const home = join(folder, name);
  mkdirSync(join(home, 'logs'), { recursive: true });
  const then = new Date(Date.now() - 3_600_000);
  utimesSync(home, then, then);
  return home;
}

/** The socket of a head in a home; `killed`: nobody listens there any more. */
async function socketIn(home: string, killed: boolean): Promise<() => void> {
  const run = join(home, 'run', 'abc');
  mkdirSync(run, { recursive: true });
  const server = createServer().listen(join(run, 'first.sock'));
  await once(server, 'listening');
  // Closing unlinks the file, being killed does not: a second link stands for that.
  linkSync(join(run, 'first.sock'), join(run, 'admin.sock'));
  if (killed) server.close();
  return () => server.close();
}

it('is its user’s alone, and each call makes another', () => {
  const [first, second] = [makeTemporaryHome(), makeTemporaryHome()];
  expect(statSync(first).mode & 0o777).toBe(0o700);
  expect(readdirSync(folder)).toHaveLength(2);
  expect(first).not.toBe(second);
});

it('stays while its process lives, and goes when that is gone', async () => {
  const [mine, gone] = [makeTemporaryHome(), abandoned()];
  await sweepTemporaryHomes();
  expect([existsSync(mine), existsSync(gone)]).toEqual([true, false]);
});

it('goes at once where a socket shows that nobody listens, and stays where somebody does', async () => {
  const [killed, lives] = [join(folder, goneName()), `${abandoned()}1`];
  mkdirSync(killed);
  await socketIn(killed, true);
  const close = await socketIn(lives, false);
  await sweepTemporaryHomes();
  expect([existsSync(killed), existsSync(lives)]).toEqual([false, true]);
  close();
});

it('stays for a minute without a socket: its head may be starting elsewhere', async () => {
  const young = join(folder, goneName());
  mkdirSync(young);
  await sweepTemporaryHomes();
  expect(existsSync(young)).toBe(true);
});

it('what is named otherwise is not ours', async () => {
  const others = ['twinkle-abcdefgh', 'twinkle-x-1-ab12', 'other-99999999-1-ab12'].map((name) => abandoned(name));
  await sweepTemporaryHomes();
  expect(others.map((path) => existsSync(path))).toEqual([true, true, true]);
});

it('cannot be made where there is no temporary folder: that is said', () => {
  process.env.TMPDIR = join(folder, 'nowhere');
  expect(() => makeTemporaryHome()).toThrow(/cannot make .*; give `home`, or another TMPDIR/);
});
