/** `serve` in a process of its own, for steps that also end it badly. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PYTHON } from './report.mjs';

/** The built CLI. */
export const MAIN = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url));

/** The CLI to its end; its standard output. A command that ends with another code than 0 throws unless `anyCode`. */
export function cli(args, { home, anyCode = false } = {}) {
  const env = { ...process.env, ...(home === undefined ? {} : { TWINKLE_HOME: home }) };
  try {
    return execFileSync(process.execPath, [MAIN, ...args], { env, encoding: 'utf8' });
  } catch (error) {
    if (anyCode && typeof error.stdout === 'string') return error.stdout;
    throw error;
  }
}

/** Start it and wait for `ready`. */
export async function serve(args) {
  const server = launch(args);
  await server.ready;
  return server;
}

/**
 * Start it. `ready` resolves when it serves; `events` are what it has said, each with `atMs` of `performance.now()`.
 * @param home shared with others, which then removes it; default: one of its own
 */
export function launch(args, shared = null) {
  const home = shared ?? mkdtempSync(join(tmpdir(), 'twinkle-gpu-'));
  const started = performance.now();
  const child = spawn(process.execPath, [MAIN, 'serve', '--json', '--port', '0', '--python', PYTHON, ...args], {
    env: { ...process.env, TWINKLE_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let words = '';
  child.stderr.on('data', (chunk) => {
    words += chunk;
  });
  const ended = once(child, 'exit');
  const server = {
    child,
    pid: child.pid,
    home,
    events: [],
    phases: [],
    status: () => JSON.parse(cli(['status', '--json'], { home })),
    rank: () => server.status().models[0].replicas[0].ranks[0],
    ask: (path, body) => ask(`${server.url}${path}`, body),
    /** End it as a user does. */
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
      await ended;
      if (shared === null) rmSync(home, { recursive: true, force: true });
    },
    /** kill -9 of Node. */
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
  server.ready = follow();
  server.ready.catch(() => {}); // whoever waits for it hears it
  return server;

  async function follow() {
    for await (const line of createInterface({ input: child.stdout })) {
      const atMs = performance.now();
      const event = JSON.parse(line);
      server.events.push({ ...event, atMs });
      if (event.event === 'progress') server.phases.push([Math.round(atMs - started), event.phase, event.detail]);
      if (event.event !== 'ready') continue;
      child.stdout.resume();
      return Object.assign(server, {
        url: event.url,
        port: Number(new URL(event.url).port),
        readyMs: Math.round(atMs - started),
        readyAtMs: atMs,
      });
    }
    throw new Error(`serve ended before it was ready:\n${words}\n${logs(home)}`.slice(0, 6000));
  }
}

function logs(home) {
  const files = readdirSync(join(home, 'logs'), { recursive: true }).filter((name) => name.endsWith('.log'));
  return files.map((name) => `${name}:\n${readFileSync(join(home, 'logs', name), 'utf8').slice(-1500)}`).join('\n');
}

async function ask(url, body) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(120_000),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text.slice(0, 500)}`);
  return response.headers.get('content-type')?.startsWith('application/json') === true ? JSON.parse(text) : text;
}
