/** A twinkle-node server in a process of its own, as a user starts it: `node dist/cli/main.js serve …`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Pid of the first rank, from `status`. */
async function rankPid(home) {
  const child = spawn(process.execPath, [MAIN, 'status', '--json'], { env: { ...process.env, TWINKLE_HOME: home } });
  let text = '';
  for await (const chunk of child.stdout) text += chunk;
  return JSON.parse(text).models[0].replicas[0].ranks[0].pid;
}

/**
 * @param {string[]} args of `serve`
 * @param {string} [home] gone when it stops; default: one of its own
 * @returns {Promise<{url: string, port: number, pid: number, readyMs: number, home: string, stop(): Promise<void>, rankPid(): Promise<number>}>}
 */
export async function startServer(args, home = mkdtempSync(join(tmpdir(), 'twinkle-bench-'))) {
  const started = performance.now();
  const child = spawn(process.execPath, [MAIN, 'serve', '--json', '--port', '0', ...args], {
    env: { ...process.env, TWINKLE_HOME: home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const words = [];
  child.stderr.on('data', (chunk) => words.push(chunk));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(home, { recursive: true, force: true });
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event !== 'ready') continue;
    const readyMs = performance.now() - started;
    child.stdout.resume();
    return {
      url: event.url,
      port: Number(new URL(event.url).port),
      pid: child.pid,
      readyMs,
      home,
      stop,
      rankPid: () => rankPid(home),
    };
  }
  await stop();
  throw new Error(`the server did not become ready:\n${Buffer.concat(words)}`);
}
