import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { describeInstance, listInstances, removeInstance, writeInstance } from '../../../src/runtime/instance-file.js';

let home = '';
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'twinkle-instance-'));
});
afterEach(() => rmSync(home, { recursive: true }));

const facts = (instance: string, startedAt: number) => ({
  kind: 'serve' as const,
  instance,
  startedAt,
  url: null,
  address: null,
  adminSocket: '/a',
  logs: '/l',
});

test('written privately, listed oldest first, removed', () => {
  const path = writeInstance(home, describeInstance(facts('b', 2)));
  writeInstance(home, describeInstance(facts('a', 3)));
  writeInstance(home, describeInstance(facts('a', 1)));
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(home, 'instances')).mode & 0o777).toBe(0o700);
  expect(listInstances(home).map(({ file, alive }) => [file.instance, file.startedAt, alive])).toEqual([
    ['a', 1, true],
    ['b', 2, true],
  ]);
  removeInstance(home, 'a');
  removeInstance(home, 'a');
  expect(readdirSync(join(home, 'instances'))).toEqual(['b.json']);
});

test('stale: the process is gone, or its pid is another process now; rubbish is left out', () => {
  const mine = describeInstance(facts('mine', 1));
  writeInstance(home, { ...mine, instance: 'reused', pidStart: '1' });
  writeInstance(home, { ...mine, instance: 'gone', pid: 2 ** 22 + 1 });
  writeFileSync(join(home, 'instances', 'x.json'), '{');
  writeFileSync(join(home, 'instances', 'y.json'), '{"instance": "y"}');
  expect(
    listInstances(home)
      .map(({ file, alive }) => [file.instance, alive])
      .sort(),
  ).toEqual([
    ['gone', false],
    ['reused', false],
  ]);
  expect(listInstances(join(home, 'nowhere'))).toEqual([]);
});

test('a file of before there were heads, or of a kind that nobody knows, is a server', () => {
  writeInstance(home, { ...describeInstance(facts('head', 1)), kind: 'head' });
  for (const [instance, kind] of [
    ['older', undefined],
    ['newer', 'balancer'],
  ]) {
    const file = { ...describeInstance(facts(String(instance), 2)), kind };
    writeFileSync(join(home, 'instances', `${instance}.json`), JSON.stringify(file));
  }
  const kinds = listInstances(home).map(({ file }) => `${file.instance} ${file.kind}`);
  expect(kinds.sort()).toEqual(['head head', 'newer serve', 'older serve']);
});
