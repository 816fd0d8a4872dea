/** `status`, `stop` and `logs` against a real process that plays a server. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeInstance } from '../../../src/runtime/instance-file.js';
import { fileName } from '../../../src/util/file-name.js';
import { processStat } from '../../../src/util/proc-stat.js';
import { Session } from './support.js';

let session: Session;
let child: ChildProcess | null = null;
let admin: Server | null = null;

beforeEach(() => {
  session = new Session();
});
afterEach(async () => {
  if (child !== null && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = null;
  await new Promise((resolve) => (admin === null ? resolve(null) : admin.close(resolve)));
  admin = null;
  rmSync(session.folder, { recursive: true });
});

const logs = (): string => join(session.home, 'logs', 'inst1');

/** A process that runs `script` and is registered as instance `inst1`. Resolves when it says `up`. */
async function register(script: string): Promise<number> {
  child = spawn(process.execPath, ['-e', `${script}; setInterval(() => {}, 1000); console.log('up')`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  const pid = child.pid as number;
  mkdirSync(logs(), { recursive: true });
  writeInstance(session.home, {
    kind: 'serve',
    instance: 'inst1',
    pid,
    pidStart: processStat(pid)?.start ?? '',
    startedAt: Date.now() - 61_000,
    url: 'http://127.0.0.1:1',
    address: null,
    adminSocket: join(session.folder, 'admin.sock'),
    logs: logs(),
  });
  return pid;
}

/** Without the addon: `stop` then looks by itself. */
function withoutAddon(): void {
  session.parts = { ...session.parts, native: () => Promise.reject(new Error('no addon')) };
}

describe('stop', () => {
  test('asks by SIGTERM and waits for the end', async () => {
    withoutAddon();
    const pid = await register("process.on('SIGTERM', () => process.exit(0))");
    expect(await session.run('stop', '--json')).toBe(0);
    expect(session.lines()).toEqual([{ instance: 'inst1', pid, ending: 'drained' }]);
    expect(processStat(pid)?.state ?? 'gone').toMatch(/Z|gone/);
  });

  test('a second SIGTERM when it takes too long', async () => {
    withoutAddon();
    await register("let n = 0; process.on('SIGTERM', () => { if (++n === 2) process.exit(0); })");
    expect(await session.run('stop', 'inst', '--timeout', '0.2')).toBe(0);
    expect(session.stdout).toContain('was told to end at once; it has ended');
    expect(session.stderr).toContain('still runs after 0.2 s');
  });

  test('nothing to stop is no error; a stale file is not followed', async () => {
    expect(await session.run('stop')).toBe(0);
    expect(session.stdout).toContain('nothing runs in');
    // This very process, but another start time: whoever wrote the file is gone.
    const facts = {
      kind: 'serve' as const,
      instance: 'old',
      url: null,
      startedAt: 1,
      address: null,
      adminSocket: '/none',
      logs: '/none',
    };
    writeInstance(session.home, { ...facts, pid: process.pid, pidStart: '1' });
    expect(await session.run('stop', 'old')).toBe(2);
    expect(await session.run('stop')).toBe(0);
  });
});

describe('status', () => {
  test('shows what the server answers', async () => {
    await register('');
    const answer = { ...session.head.status(), instance: 'inst1', models: [MODEL] };
    admin = createServer((request, response) => {
      response.statusCode = request.url === '/status' ? 200 : 404;
      response.end(JSON.stringify(answer));
    });
    await new Promise<void>((resolve) => admin?.listen(join(session.folder, 'admin.sock'), resolve));
    expect(await session.run('status')).toBe(0);
    expect(session.stdout).toMatch(/^inst1 {2}ready {2}http:\/\/127\.0\.0\.1:8123 {2}pid \d+ {2}since 61 s/);
    expect(session.stdout).toMatch(
      /demo {3}demo\/0 {3}restarting {2}0 {5}77 {3}gpu-a,gpu-b {2}3 {10}2 {9}rank 0 was killed/,
    );
    session.stdout = '';
    expect(await session.run('status', '--json')).toBe(0);
    expect(session.lines()).toEqual([answer]);
  });

  test('a server that does not answer is listed all the same', async () => {
    await register('');
    expect(await session.run('status')).toBe(0);
    expect(session.stdout).toContain('does not answer: connect ENOENT');
    expect(await session.run('status', '--home', '/nonexistent')).toBe(0);
    expect(session.stdout).toContain('nothing runs in /nonexistent');
  });
});

const MODEL = {
  names: ['demo'],
  created: 1,
  state: 'restarting',
  card: null,
  progress: null,
  reason: 'rank 0 was killed',
  replicas: [
    {
      id: 'demo/0',
      state: 'restarting',
      epoch: 3,
      restarts: 2,
      inFlight: 3,
      stats: null,
      ranks: [{ rank: 0, pid: 77, devices: ['gpu-a', 'gpu-b'], log: '/l' }],
    },
  ],
};

describe('logs', () => {
  const write = (file: string, text: string): void => {
    mkdirSync(logs(), { recursive: true });
    appendFileSync(join(logs(), file), text);
  };

  test('of a server that has ended: the last lines of each file, with its name', async () => {
    write('demo-0-rank0.log', 'one\ntwo\nthree\n');
    write('demo-0-rank1.log', 'other\ncrashed here');
    write('notes.txt', 'no log\n');
    expect(await session.run('logs', '-n', '2')).toBe(0);
    expect(session.stdout).toBe(
      'demo-0-rank0 | two\ndemo-0-rank0 | three\ndemo-0-rank1 | other\ndemo-0-rank1 | crashed here\n',
    );
  });

  test('of one rank: without its name', async () => {
    write('demo-0-rank0.log', 'zero\n');
    write('demo-0-rank11.log', 'eleven\n');
    expect(await session.run('logs', '--rank', '11')).toBe(0);
    expect(session.stdout).toBe('eleven\n');
    expect(await session.run('logs', '--rank', '1')).toBe(2);
    expect(session.stderr).toContain('there are demo-0-rank0.log, demo-0-rank11.log');
    session.stdout = '';
    expect(await session.run('logs', '--model', 'demo', '--rank', '0')).toBe(0);
    expect(await session.run('logs', '--model', 'other')).toBe(2);
  });

  test('of one model, by the name that clients use', async () => {
    for (const model of ['meta/llama', 'meta/llama2']) write(`${fileName(`${model}/0`)}-rank0.log`, `of ${model}\n`);
    expect(await session.run('logs', '--model', 'meta/llama')).toBe(0);
    expect(session.stdout).toBe('of meta/llama\n');
  });

  test('-f goes on: whole lines, new files, rotated files; a signal ends it with 0', async () => {
    write('demo-0-rank0.log', 'begin\nhal');
    const ended = session.run('logs', '-f');
    await session.saw('stdout', 'begin');
    write('demo-0-rank0.log', 'f line\n');
    await session.saw('stdout', 'demo-0-rank0 | half line\n');
    write('demo-0-rank1.log', 'näw file\n');
    await session.saw('stdout', 'demo-0-rank1 | näw file\n');
    renameSync(join(logs(), 'demo-0-rank0.log'), join(logs(), 'demo-0-rank0.log.1'));
    writeFileSync(join(logs(), 'demo-0-rank0.log'), 'after\n');
    await session.saw('stdout', 'demo-0-rank0 | after\n');
    session.signals.emit('SIGINT');
    expect(await ended).toBe(0);
    expect(session.stdout.match(/begin|half/g)).toEqual(['begin', 'half']);
  });
});
