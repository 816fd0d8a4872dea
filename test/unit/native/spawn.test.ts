/** Starting processes: how they end, what they inherit, what goes wrong. */
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { TwinkleError } from '../../../src/errors.js';
import type { SpawnOptions } from '../../../src/native/types.js';
import { command, endOf, env, listenForExits, native, openDescriptors, outputOf, python } from './support.js';

function failureOf(options: SpawnOptions): TwinkleError {
  try {
    native.spawn(options);
  } catch (thrown) {
    if (thrown instanceof TwinkleError) return thrown;
  }
  throw new Error('spawn did not throw a TwinkleError');
}

afterEach(listenForExits);

describe('the end of a process', () => {
  it('has its exit code and usage', async () => {
    const script = 'import sys\nsum(range(2_000_000))\nsys.exit(7)';
    const exit = await endOf(native.spawn(command(python, ['-c', script])));
    expect(exit).toMatchObject({ code: 7, signal: null, child: true });
    expect(exit.maxRssKb).toBeGreaterThan(1000);
    expect(exit.userMs + exit.systemMs).toBeGreaterThan(1);
  });

  it('has its signal', async () => {
    const pid = native.spawn(command('sleep', ['1000']));
    expect(native.killGroup(pid, 15)).toBe(true);
    expect(await endOf(pid)).toMatchObject({ pid, code: null, signal: 15, child: true });
    expect(native.killGroup(pid, 15)).toBe(false);
  });

  it('waits for a listener when there is none', async () => {
    native.onExit(null);
    const pid = native.spawn(command('sh', ['-c', 'exit 5']));
    // The pid disappears when the addon's thread has reaped it; the next turns of the loop then carry the end nowhere.
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    while (existsSync(`/proc/${pid}`)) await turn();
    await turn();
    await turn();
    listenForExits();
    expect(await endOf(pid)).toMatchObject({ pid, code: 5 });
  });

  it('reaches the listener never inside a call, and each end once', async () => {
    const seen: number[] = [];
    const pids = new Set<number>();
    let inside = false;
    const all = new Promise<void>((resolve) => {
      native.onExit((exit) => {
        expect(inside).toBe(false);
        seen.push(exit.pid);
        if (seen.length === 20) resolve();
      });
    });
    inside = true;
    for (let i = 0; i < 20; i += 1) pids.add(native.spawn(command('true', [])));
    inside = false;
    const alive = setInterval(() => undefined, 1 << 30);
    await all;
    clearInterval(alive);
    expect(new Set(seen)).toEqual(pids);
  });
});

describe('what a process gets', () => {
  it('runs in its own group, in the folder, with exactly the environment', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'twinkle-')));
    const script = 'import os, json; print(json.dumps([os.getpid() == os.getpgrp(), os.getcwd(), sorted(os.environ)]))';
    const { text } = await outputOf(command(python, ['-S', '-c', script], { cwd: folder, env: ['A=1', 'B=x=y'] }));
    const [leads, cwd, keys] = JSON.parse(text) as [boolean, string, string[]];
    expect(leads).toBe(true);
    expect(cwd).toBe(folder);
    expect(keys.filter((key) => key !== 'LC_CTYPE')).toEqual(['A', 'B']);
    rmSync(folder, { recursive: true });
  });

  it('takes the program from the PATH that it is given', async () => {
    expect((await outputOf(command('echo', ['a b', 'ü'], { env: ['PATH=/usr/bin:/bin'] }))).text).toBe('a b ü\n');
  });

  it('runs on the CPUs asked for, and others are pinned later', async () => {
    const cpu = native.cpu().allowed[0] ?? 0;
    const script = 'import os; print(sorted(os.sched_getaffinity(0)))';
    expect((await outputOf(command(python, ['-c', script], { cpus: [cpu] }))).text).toBe(`[${cpu}]\n`);
    const pid = native.spawn(command('sleep', ['1000']));
    native.setAffinity(pid, [cpu]);
    const { text } = await outputOf(command('grep', ['Cpus_allowed_list', `/proc/${pid}/status`]));
    expect(text.split(/\s+/)[1]).toBe(String(cpu));
    native.killGroup(pid, 9);
    await endOf(pid);
  });

  it('has default signal handlers although Node ignores SIGPIPE', async () => {
    const { text } = await outputOf(command('grep', ['-E', 'SigIgn|SigBlk', '/proc/self/status']));
    expect(text.match(/0{16}/g)).toHaveLength(2);
  });
});

describe('a spawn that fails', () => {
  it('says so at once with the step and errno', () => {
    const missing = failureOf(command('/nowhere/program', []));
    expect(missing.code).toBe('NATIVE');
    expect(missing.message).toContain('exec /nowhere/program failed with ENOENT');
    expect(missing.details).toEqual({ errno: 'ENOENT', syscall: 'exec /nowhere/program' });
    expect(failureOf(command('no-such-program', [])).message).toContain('in no folder of PATH');
    expect(failureOf(command('/etc/passwd', [])).details.errno).toBe('EACCES');
    expect(failureOf(command('true', [], { cwd: '/nowhere' })).message).toContain('chdir /nowhere failed with ENOENT');
    expect(failureOf(command('true', [], { fds: [[3, 9999]] })).details.errno).toBe('EBADF');
    expect(failureOf(command('true', [], { cpus: [60_000] })).details.errno).toBe('EINVAL');
    expect(failureOf(command('true', ['x'.repeat(1 << 20)])).details.errno).toBe('E2BIG');
  });

  it('names the argument that is wrong', () => {
    expect(failureOf(command('a\0b', [])).message).toContain('a string without zero bytes for `file`');
    expect(failureOf(command('true', [], { env: ['A'] })).message).toContain('KEY=value entries for `env`');
    expect(failureOf({} as SpawnOptions).message).toContain('expected a string for `file` but received undefined');
    expect(failureOf({ ...command('true', []), fds: [[1]] } as unknown as SpawnOptions).message).toContain('pairs');
    expect(
      failureOf(
        command('true', [], {
          fds: [
            [1, 1],
            [1, 2],
          ],
        }),
      ).message,
    ).toContain('named twice');
    expect(() => native.killGroup(1, 9)).toThrow('from 2');
    expect(() => native.killGroup(-1, 9)).toThrow('from 2');
    expect(() => native.closeFd(Number.NaN)).toThrow('received NaN');
  });
});

it('200 processes and 200 failures leave no descriptor behind', async () => {
  await endOf(native.spawn(command('true', [])));
  const before = openDescriptors();
  for (let round = 0; round < 20; round += 1) {
    const pids = Array.from({ length: 10 }, () => native.spawn(command('/bin/true', [], { env })));
    for (let i = 0; i < 10; i += 1) expect(() => native.spawn(command('/nowhere', []))).toThrow('ENOENT');
    for (const exit of await Promise.all(pids.map(endOf))) expect(exit.code).toBe(0);
  }
  expect(openDescriptors()).toEqual(before);
});
