/** No orphan: watching others' processes, adoption, death with the parent. Each in a Node of its own where it changes the process. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { expect, it } from 'vitest';

import { addonPath, command, endOf, inChildNode, native, python } from './support.js';

it('tells the end of a process that is not its child, without knowing how', async () => {
  // A python starts a grandchild that waits for the pipe to close, and reaps it itself.
  const [hold, release] = native.pipe();
  const [from, to] = native.pipe();
  const script = [
    'import os, subprocess, sys',
    'child = subprocess.Popen([sys.executable, "-c", "import os; os.read(9, 1)"], pass_fds=[9])',
    'os.close(9)',
    'os.write(1, str(child.pid).encode())',
    'sys.exit(child.wait() + 4)',
  ].join('\n');
  const parent = native.spawn(
    command(python, ['-c', script], {
      fds: [
        [1, to],
        [9, hold],
        [2, 2],
      ],
    }),
  );
  native.closeFd(to);
  native.closeFd(hold);
  const { readSync } = await import('node:fs');
  const buffer = Buffer.alloc(32);
  const grandchild = Number(buffer.toString('utf8', 0, readSync(from, buffer, 0, 32, null)));
  native.watch(grandchild);
  expect(() => native.watch(grandchild)).toThrow('awaited already');
  expect(() => native.watch(parent)).toThrow('awaited already');
  native.closeFd(release);
  expect(await endOf(grandchild)).toEqual({
    pid: grandchild,
    code: null,
    signal: null,
    child: false,
    maxRssKb: 0,
    userMs: 0,
    systemMs: 0,
  });
  expect((await endOf(parent)).code).toBe(4);
  expect(() => native.watch(grandchild)).toThrow('already gone');
  native.closeFd(from);
});

it('leaves a child of child_process to Node', async () => {
  const child = spawn('sh', ['-c', 'read x; exit 6'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const exited = once(child, 'exit');
  native.watch(child.pid ?? 0);
  child.stdin.end();
  expect(await endOf(child.pid ?? 0)).toMatchObject({ child: false, code: null });
  expect(await exited).toEqual([6, null]);
});

it('kills a process when the one that started it is killed', async () => {
  const script = `
    const addon = require(${JSON.stringify(addonPath)});
    const options = { file: 'sleep', args: ['1000'], env: ['PATH=' + process.env.PATH], cwd: null, fds: [], parentDeathSignal: true, cpus: null };
    console.log(addon.spawn(options));
    setInterval(() => {}, 1e9);`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  native.watch(Number(line));
  child.kill('SIGKILL');
  expect(await endOf(Number(line))).toMatchObject({ pid: Number(line), child: false });
});

it('reaps adopted orphans of given groups only, and reads the status of watched ones', async () => {
  const result = await inChildNode(`
    const { readSync } = require('node:fs');
    const line = (fd) => {
      const buffer = Buffer.alloc(64);
      let text = '';
      while (!text.endsWith('\\n')) text += buffer.toString('utf8', 0, readSync(fd, buffer, 0, 1, null));
      return Number(text);
    };
    addon.setSubreaper(true);
    // The shell ends at once; its child lives on as our own.
    const orphan = () => {
      const [from, to] = addon.pipe();
      const options = { file: 'sh', args: ['-c', 'sleep 1000 & echo $!'], env: ['PATH=' + process.env.PATH], cwd: null, fds: [[1, to]], parentDeathSignal: false, cpus: null };
      const group = addon.spawn(options);
      addon.closeFd(to);
      return { group, pid: line(from) };
    };
    const plain = orphan();
    const watched = orphan();
    addon.watch(watched.pid);
    const ends = new Map();
    addon.onExit((exit) => ends.set(exit.pid, exit));
    const until = (done, next) => (done() ? next() : setImmediate(until, done, next));
    until(() => ends.has(plain.group) && ends.has(watched.group), () => {
      addon.killGroup(plain.group, 9);
      addon.killGroup(watched.group, 15);
      const reaped = [];
      const foreign = addon.reapAdopted([plain.group + 100000]);
      until(() => {
        reaped.push(...addon.reapAdopted([plain.group, watched.group]));
        return reaped.length > 0 && ends.has(watched.pid);
      }, () => {
        console.log(JSON.stringify({
          reapedPlain: reaped.length === 1 && reaped[0] === plain.pid,
          foreign,
          watched: { signal: ends.get(watched.pid).signal, child: ends.get(watched.pid).child },
        }));
        addon.setSubreaper(false);
      });
    });`);
  expect(result).toEqual({ reapedPlain: true, foreign: [], watched: { signal: 15, child: true } });
});

it('does not keep the loop alive for a living process', async () => {
  const result = await inChildNode(`
    addon.onExit(() => {});
    const options = { file: 'sleep', args: ['1000'], env: ['PATH=' + process.env.PATH], cwd: null, fds: [], parentDeathSignal: true, cpus: null };
    console.log(addon.spawn(options));`);
  expect(result).toBeTypeOf('number');
});

it('reports an error thrown by the listener as uncaught, and goes on', async () => {
  const result = await inChildNode(`
    const seen = [];
    process.on('uncaughtException', (error) => seen.push(error.message));
    addon.onExit((exit) => { seen.push(exit.code); if (seen.length === 1) throw new Error('mine'); });
    const options = { file: 'sh', args: ['-c', 'exit 3'], env: ['PATH=' + process.env.PATH], cwd: null, fds: [], parentDeathSignal: false, cpus: null };
    addon.spawn(options);
    addon.spawn(options);
    (function until() { if (seen.length < 3) setImmediate(until); else console.log(JSON.stringify(seen.sort())); })();`);
  expect(result).toEqual([3, 3, 'mine']);
});
