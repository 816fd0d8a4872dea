/** The addon in worker threads: each has its own listener and thread, and leaves nothing behind. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

import { expect, it } from 'vitest';

import { addonPath, command, endOf, native } from './support.js';

const script = `
  const { parentPort } = require('node:worker_threads');
  const addon = require(${JSON.stringify(addonPath)});
  const segment = addon.segmentCreate({ name: 'in-worker', size: 1 << 20, lock: false, register: 'none' });
  globalThis.keep = [segment, segment.buffer(), addon.segmentCreate({ name: 'in-worker', size: 4096, lock: false, register: 'none' })];
  const options = { file: 'sh', args: ['-c', 'exit 8'], env: ['PATH=' + process.env.PATH], cwd: null, fds: [], parentDeathSignal: false, cpus: null };
  const pid = addon.spawn(options);
  const alive = setInterval(() => {}, 1e9);
  addon.onExit((exit) => { parentPort.postMessage([pid, exit.pid, exit.code]); if (process.env.STAY === undefined) clearInterval(alive); });`;

function reapers(): number {
  const names = readdirSync('/proc/self/task').map((task) =>
    readFileSync(`/proc/self/task/${task}/comm`, 'utf8').trim(),
  );
  return names.filter((name) => name === 'twinkle-reaper').length;
}

it('spawns in a worker, and unmaps and joins when it ends', async () => {
  await endOf(native.spawn(command('true', [])));
  const before = reapers();
  for (const stay of [false, true, false]) {
    const worker = new Worker(script, { eval: true, env: { ...process.env, ...(stay ? { STAY: '1' } : {}) } });
    // Before the message: both can be told in one turn.
    const exited = once(worker, 'exit');
    const [[spawned, ended, code]] = (await once(worker, 'message')) as [[number, number, number]];
    expect(ended).toBe(spawned);
    expect(code).toBe(8);
    if (stay) await worker.terminate();
    await exited;
    expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('memfd:in-worker');
    expect(reapers()).toBe(before);
  }
  // The main thread's own channel is untouched.
  expect((await endOf(native.spawn(command('sh', ['-c', 'exit 2'])))).code).toBe(2);
});

it('survives workers that are terminated while ends arrive and calls run', async () => {
  const busy = `
    const addon = require(${JSON.stringify(addonPath)});
    const options = { file: '/bin/true', args: [], env: [], cwd: null, fds: [], parentDeathSignal: false, cpus: null };
    let ends = 0;
    addon.onExit(() => { if (++ends === 5) require('node:worker_threads').parentPort.postMessage('busy'); addon.spawn(options); addon.cpu(); });
    for (let i = 0; i < 4; i++) addon.spawn(options);
    setInterval(() => addon.segmentCreate({ name: 'busy', size: 4096, lock: false, register: 'none' }).buffer(), 0);`;
  for (let round = 0; round < 8; round += 1) {
    const worker = new Worker(busy, { eval: true });
    await once(worker, 'message');
    await worker.terminate();
  }
  expect(readFileSync('/proc/self/maps', 'utf8')).not.toContain('memfd:busy');
});
