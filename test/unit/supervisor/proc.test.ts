import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { groupMembers, processesWithEnv } from '../../../src/supervisor/proc.js';
import { parseStat, processStat } from '../../../src/util/proc-stat.js';

it('reads a stat line whose command name is hostile', () => {
  const fields = Array.from({ length: 50 }, (_, index) => String(index + 3));
  fields[0] = 'S';
  expect(parseStat(`42 (a) b) (c) ${fields.join(' ')}`)).toEqual({
    pid: 42,
    state: 'S',
    ppid: 4,
    group: 5,
    start: '22',
  });
  expect(parseStat('nonsense')).toBeNull();
});

it('finds the living members of a process group and processes by environment', async () => {
  const child = spawn('sleep', ['60'], { detached: true, env: { ...process.env, TWINKLE_TEST_MARK: 'here' } });
  await once(child, 'spawn');
  const pid = child.pid ?? 0;
  expect(groupMembers(new Set([pid])).map((stat) => stat.pid)).toEqual([pid]);
  expect(processesWithEnv('TWINKLE_TEST_MARK', 'here')).toEqual([pid]);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(groupMembers(new Set([pid]))).toEqual([]);
  expect(processStat(pid)).toBeNull();
});
