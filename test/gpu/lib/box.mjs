/** One box with a head and servers that share a home. Knows how to look at them; what should be seen is the steps' business. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { descendants } from '../../../bench/lib/processes.mjs';
import { cli, launch, MAIN } from './server.mjs';

const LOOK_MS = 10;

export class Box {
  home = mkdtempSync(join(tmpdir(), 'twinkle-box-'));
  head = null;
  servers = [];

  /** Start a head and wait until it is ready. */
  startHead(...flags) {
    this.head = JSON.parse(
      cli(['start', '--head', '--json', ...flags], this)
        .trim()
        .split('\n')
        .at(-1),
    );
    return this.head;
  }

  /** kill -9 of the head. */
  async killHead() {
    const { pid } = this.head;
    process.kill(pid, 'SIGKILL');
    await eventually('the head is dead', () => !isAlive(pid), 5000);
  }

  /** Start a server of that name here; it may wait for room. */
  serve(name, ...args) {
    const server = Object.assign(launch([...args, '--served-model-name', name], this.home), { name });
    this.servers.push(server);
    return server;
  }

  /** `list WHAT --json`: nodes, placement-groups, gangs, devices. */
  list(what) {
    return JSON.parse(cli(['list', what, '--json'], this));
  }

  /** The one replica of a server, as `list gangs` shows it. */
  gang({ name }) {
    return this.list('gangs').find(({ model }) => model === name);
  }

  /** The placement group of a server, whatever its state but removed. */
  group({ name }) {
    return this.list('placement-groups').find((group) => group.name.startsWith(name) && group.state !== 'REMOVED');
  }

  /** End everything, badly if need be. */
  async close() {
    cli(['stop', '--all', '--timeout', '10'], { home: this.home, anyCode: true });
    this.killAll();
    await Promise.allSettled(this.servers.map((server) => server.stop()));
    rmSync(this.home, { recursive: true, force: true });
  }

  /** For the way out of a process that is told to end. */
  killAll() {
    const nodes = [this.head, ...this.servers].flatMap((one) => (one?.pid > 0 && isTwinkle(one.pid) ? [one.pid] : []));
    for (const pid of nodes.flatMap((node) => [node, ...descendants(node)])) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // it ended meanwhile
      }
    }
  }
}

/** A command to its end, whatever it is: exit code and standard error. */
export async function cliEnd(args, { home }) {
  const env = { ...process.env, TWINKLE_HOME: home };
  const run = promisify(execFile)(process.execPath, [MAIN, ...args], { env, timeout: 30_000, encoding: 'utf8' });
  return run.then(
    ({ stderr }) => ({ code: 0, stderr }),
    ({ code, stderr }) => ({ code, stderr }),
  );
}

/** Poll until `look()` is truthy. @returns it, and the milliseconds since the call */
export async function eventually(what, look, limitMs) {
  const started = performance.now();
  for (;;) {
    const value = await look();
    const ms = performance.now() - started;
    if (value) return { value, ms };
    if (ms > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Fails when it takes longer; what goes on then is ended with the step. */
export async function within(what, limitMs, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What comes of a promise, unless the server ends before it serves. */
export function orItsEnd(server, promise) {
  return Promise.race([promise, server.ready.then(() => promise)]);
}

/** Environment that a process was started with. */
export function environmentOf(pid) {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return Object.fromEntries(
    lines.flatMap((line) =>
      line === '' ? [] : [[line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]],
    ),
  );
}

/** A zombie does not count: who reaps it is the machine's business. */
export function isAlive(pid) {
  try {
    return !'ZX'.includes(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)[0]);
  } catch {
    return false;
  }
}

/** Pids are used again. */
function isTwinkle(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('dist/cli/main.js');
  } catch {
    return false;
  }
}
