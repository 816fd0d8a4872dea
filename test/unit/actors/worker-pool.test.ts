import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { WorkerPool } from '../../../src/actors/worker-pool.js';
import type { WorkerProcess } from '../../../src/actors/worker-process.js';
import { TwinkleError } from '../../../src/errors.js';
import type { Setup } from '../../../src/protocol/work.js';
import { deferred } from '../../../src/util/deferred.js';
import { PairedNative, PlayedLauncher } from './node-kit.js';
import { until } from './played-client.js';

const JOB = { driver: 1, python: '/py' };
const setupFor = (cwd: string): Setup => ({ sys_path: [], cwd, namespace: '', env: {}, devices: {} });
const A = setupFor('/a');

let folder: string;
let before: number;
/** Descriptors of this process. */
const descriptors = (): number => readdirSync('/proc/self/fd').length;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'twinkle-pool-'));
  before = descriptors();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function setUp(spare = 0) {
  const paired = new PairedNative();
  const launcher = new PlayedLauncher(paired);
  const welcomed: WorkerProcess[] = [];
  let client = 0;
  const pool = new WorkerPool({
    ...{ native: paired.native, node: 'n', instance: 'i', socketFolder: folder, logFolder: folder, spare },
    launcher: () => launcher,
    nextClient: () => ++client,
    welcome: (worker) => {
      welcomed.push(worker);
      worker.peer.welcome({ node: 'n', instance: 'i', inline_bytes: 1 }, { ask() {}, tell() {}, gone() {} });
    },
  });
  return { paired, launcher, pool, welcomed };
}

/** Every descriptor of either side is closed, none of ours twice. */
async function nothingIsLeft(paired: PairedNative): Promise<void> {
  await until(() => paired.fake.openFds.size === 0, 'no number is open');
  await until(() => descriptors() <= before, 'no descriptor is open');
  expect(new Set(paired.closedOurs).size).toBe(paired.closedOurs.length);
}

describe('worker pool: descriptors', () => {
  it('keeps two for a worker that lives, and none after it', async () => {
    const { paired, pool, launcher, welcomed } = setUp();
    const worker = await pool.take(JOB, A);
    expect(welcomed).toEqual([worker]);
    expect(paired.fake.openFds.size).toBe(1); // the writer of its death pipe; its socket is a real one
    writeFileSync(worker.path, '');
    launcher.workers[0]?.end({ code: 3 });
    expect(await worker.ended).toMatchObject({ code: 3, signal: null, how: 'exit code 3' });
    expect([worker.gone, worker.usable, pool.workers.size, existsSync(worker.path)]).toEqual([true, false, 0, false]);
    await nothingIsLeft(paired);
    expect(paired.closedOurs).toEqual([]);
  });

  it('keeps none when the launch fails, and rejects with the launcher’s words', async () => {
    const { paired, pool, launcher } = setUp();
    launcher.refusal = new TwinkleError('PYTHON_ENV', 'no such package');
    await expect(pool.take(JOB, A)).rejects.toBe(launcher.refusal);
    await nothingIsLeft(paired);
    launcher.refusal = null;
    await pool.take(JOB, A); // the next one may do better
    await pool[Symbol.asyncDispose]();
  });

  it('keeps none, and no process, when its end of the pair is no socket', async () => {
    const { paired, pool } = setUp();
    paired.brokenPairs = true;
    await expect(pool.take(JOB, A)).rejects.toThrow();
    expect(paired.fake.processes.spawned.map(({ alive }) => alive)).toEqual([false]);
    await nothingIsLeft(paired);
  });

  it('keeps none of a worker that dies before it joins, and says how it died', async () => {
    const { paired, pool, launcher } = setUp();
    launcher.joins = false;
    const taken = pool.take(JOB, A);
    await until(() => launcher.workers.length === 1);
    writeFileSync(join(folder, 'worker-1.log'), 'ImportError: no numpy\n');
    launcher.workers[0]?.end({ signal: 11 });
    await expect(taken).rejects.toMatchObject({
      code: 'RANK_FAILED',
      message: expect.stringMatching(/signal 11[\s\S]*no numpy/),
    });
    expect(pool.workers.size).toBe(0);
    await nothingIsLeft(paired);
  });

  it.each([
    ['hangs up before it joins', (worker: PlayedLauncher['workers'][0]) => worker.client.leave(), /was closed/],
    [
      'speaks another protocol',
      (worker: PlayedLauncher['workers'][0]) => void worker.join({ protocol: 99 }).catch(() => {}),
      /protocol 99/,
    ],
    [
      'joins as a driver',
      (worker: PlayedLauncher['workers'][0]) => void worker.join({ kind: 'driver' }).catch(() => {}),
      /as a driver/,
    ],
  ])('ends a worker that %s', async (_what, misbehave, words) => {
    const { paired, pool, launcher, welcomed } = setUp();
    launcher.joins = false;
    const taken = pool.take(JOB, A);
    await until(() => launcher.workers.length === 1);
    misbehave(launcher.workers[0] as PlayedLauncher['workers'][0]);
    await expect(taken).rejects.toMatchObject({ code: 'RANK_FAILED', message: expect.stringMatching(words) });
    expect([launcher.workers[0]?.alive, welcomed]).toEqual([false, []]);
    await nothingIsLeft(paired);
  });

  it('keeps none when it is closed while a process is being made', async () => {
    const { paired, pool, launcher, welcomed } = setUp();
    const gate = deferred<void>();
    launcher.joins = false;
    launcher.gate = gate.promise;
    const taken = pool.take(JOB, A);
    const refused = expect(taken).rejects.toMatchObject({ code: 'DRAINING' });
    await until(() => launcher.launches === 1);
    const closed = pool[Symbol.asyncDispose]();
    gate.resolve();
    await Promise.all([refused, closed]);
    expect([launcher.workers[0]?.alive, launcher.closed, welcomed]).toEqual([false, 1, []]);
    await nothingIsLeft(paired);
    await expect(pool.take(JOB, A)).rejects.toMatchObject({ code: 'DRAINING' });
  });
});

describe('worker pool: interpreters of environments', () => {
  it('end with their spare workers when no worker of theirs was used for a minute; those of drivers stay', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { pool, launcher } = setUp(1);
      pool.beginJob(JOB);
      await until(() => pool.workers.size === 1);
      const worker = await pool.take({ driver: 1, python: '/env' }, A);
      await until(() => launcher.workers.length === 3 && launcher.workers.every(({ client }) => client.id > 0));
      vi.advanceTimersByTime(120_000);
      expect([launcher.closed, pool.workers.size]).toEqual([0, 3]); // it works
      worker.kill();
      await worker.ended;
      vi.advanceTimersByTime(59_000);
      expect(launcher.closed).toBe(0);
      vi.advanceTimersByTime(2_000);
      await until(() => pool.workers.size === 1);
      expect([launcher.closed, [...pool.workers].map(({ python }) => python)]).toEqual([1, ['/py']]);
      await pool.take({ driver: 1, python: '/env' }, A);
      await pool[Symbol.asyncDispose]();
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('worker pool: spare and idle workers', () => {
  it('has spare ones ready for a driver, gives them first, and replaces them', async () => {
    const { pool, launcher } = setUp(2);
    pool.beginJob(JOB);
    pool.beginJob({ driver: 2, python: '/py' }); // the same ones do for both
    await until(() => pool.workers.size === 2);
    await until(() => launcher.workers.every(({ client }) => client.id > 0));
    const worker = await pool.take(JOB, A);
    expect(launcher.workers.slice(0, 2).map(({ pid }) => pid)).toContain(worker.pid);
    await until(() => launcher.workers.length === 3);
    expect((await launcher.workers.find(({ pid }) => pid === worker.pid)?.client.hear('setup'))?.params).toEqual(A);
    await pool[Symbol.asyncDispose]();
  });

  it('does not give one that died while it was spare', async () => {
    const { pool, launcher } = setUp(1);
    pool.beginJob(JOB);
    await until(() => (launcher.workers[0]?.client.id ?? -1) > 0);
    launcher.workers[0]?.end({ signal: 9 });
    await until(() => pool.workers.size === 0);
    const worker = await pool.take(JOB, A);
    expect(worker.pid).not.toBe(launcher.workers[0]?.pid);
    await pool[Symbol.asyncDispose]();
  });

  it('tries again for a spare one that could not be started, when the next is taken', async () => {
    const { pool, launcher, paired } = setUp(1);
    launcher.refusal = new TwinkleError('RANK_FAILED', 'out of memory');
    pool.beginJob(JOB);
    await until(() => launcher.launches === 1 && paired.fake.openFds.size === 0);
    launcher.refusal = null;
    await pool.take(JOB, A);
    await until(() => pool.workers.size === 2);
    await pool[Symbol.asyncDispose]();
  });

  it('gives one that is idle to the same work of the same driver only', async () => {
    const { pool } = setUp(1);
    for (const driver of [1, 2]) pool.beginJob({ driver, python: '/py' });
    const first = await pool.take(JOB, A);
    pool.giveBack(first);
    expect(await pool.take({ driver: 2, python: '/py' }, A)).not.toBe(first); // its modules may be other files
    expect(await pool.take(JOB, setupFor('/b'))).not.toBe(first);
    expect(await pool.take({ driver: 1, python: '/other' }, A)).not.toBe(first);
    expect(await pool.take(JOB, A)).toBe(first);
    expect(await pool.take(JOB, A)).not.toBe(first);
    await pool[Symbol.asyncDispose]();
  });

  it('does not give one that died, or hung up, while it was idle', async () => {
    const { pool, launcher } = setUp(2);
    pool.beginJob(JOB);
    const first = await pool.take(JOB, A);
    const second = await pool.take(JOB, A);
    pool.giveBack(first);
    pool.giveBack(second);
    launcher.workers.find(({ pid }) => pid === second.pid)?.end();
    await second.ended;
    first.peer.close('it says nothing more');
    const third = await pool.take(JOB, A);
    expect([first.pid, second.pid]).not.toContain(third.pid);
    await pool[Symbol.asyncDispose]();
  });

  it('ends what is given back beyond what is kept, and what is given back for a driver that left', async () => {
    const { pool } = setUp(1);
    pool.beginJob(JOB);
    const workers = [await pool.take(JOB, A), await pool.take(JOB, A), await pool.take(JOB, A)];
    const [first, second, third] = workers as [WorkerProcess, WorkerProcess, WorkerProcess];
    pool.giveBack(first);
    pool.giveBack(second);
    await second.ended;
    expect(first.gone).toBe(false);
    pool.endJob(JOB.driver);
    pool.endJob(JOB.driver);
    await first.ended;
    pool.giveBack(third);
    await third.ended;
    await pool[Symbol.asyncDispose]();
  });

  it('keeps eight idle ones, whatever they did; the one that waits for longest ends', async () => {
    const { pool } = setUp(1);
    pool.beginJob(JOB);
    const workers: WorkerProcess[] = [];
    for (let at = 0; at < 9; at++) workers.push(await pool.take(JOB, setupFor(`/${at}`)));
    for (const worker of workers) pool.giveBack(worker);
    await workers[0]?.ended;
    expect(workers.map(({ gone }) => gone)).toEqual([true, ...Array(8).fill(false)]);
    await pool[Symbol.asyncDispose]();
  });
});
