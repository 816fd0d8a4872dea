import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { acquireLock, isAlive, startTime, thisOwner } from '../../../src/python/lock.js';

let folder = '';
let path = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-lock-'));
  path = join(folder, 'a.lock');
});
afterEach(() => rmSync(folder, { recursive: true }));

const nobody = (): void => {
  throw new Error('nobody holds it');
};

test('names its holder, and is gone when released', async () => {
  const release = await acquireLock(path, nobody);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: process.pid, start: startTime(process.pid) });
  release();
  expect(readdirSync(folder)).toEqual([]);
});

test('waits in turn, and tells for whom', async () => {
  const release = await acquireLock(path, nobody);
  const order: string[] = [];
  const waiter = acquireLock(path, (pid) => order.push(`waits for ${pid === process.pid}`)).then((freed) => {
    order.push('second');
    freed();
  });
  order.push('first');
  release();
  await waiter;
  expect(order.at(-1)).toBe('second');
  expect(existsSync(path)).toBe(false);
});

test.each([
  ['an owner that is gone', () => JSON.stringify({ ...thisOwner(), pid: 2 ** 22 + 1 })],
  ['a pid that is another process now', () => JSON.stringify({ ...thisOwner(), start: '1' })],
  ['no owner at all', () => 'rubbish'],
])('takes over from %s', async (_, text) => {
  writeFileSync(path, text());
  const release = await acquireLock(path, nobody);
  release();
  expect(readdirSync(folder)).toEqual([]);
});

test('another host counts as alive until its lock is old', async () => {
  const foreign = { host: 'elsewhere', pid: 1, start: '1' };
  expect(isAlive(foreign, 1000)).toBe(true);
  writeFileSync(path, JSON.stringify(foreign));
  const old = new Date(Date.now() - 3 * 60 * 60 * 1000);
  utimesSync(path, old, old);
  (await acquireLock(path, nobody))();
});

test('an abort ends the waiting', async () => {
  const release = await acquireLock(path, nobody);
  const controller = new AbortController();
  const reason = new Error('stop');
  const waiting = acquireLock(path, () => controller.abort(reason), controller.signal);
  await expect(waiting).rejects.toBe(reason);
  release();
});

test('of many at once each gets it alone', async () => {
  let inside = 0;
  const work = async (): Promise<void> => {
    const release = await acquireLock(path, () => {});
    inside++;
    expect(inside).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    inside--;
    release();
  };
  await Promise.all(Array.from({ length: 5 }, work));
});
