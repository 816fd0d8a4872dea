/** What is measured of a server, ours and the peer's in the same way. */
import { execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { load, median, quantile } from '../load.mjs';
import { pssMb } from '../processes.mjs';

const SDK_CLIENT = fileURLToPath(new URL('./sdk-client.mjs', import.meta.url));
const TWINKLE_CLIENT = fileURLToPath(new URL('../../peers/twinkle/client.py', import.meta.url));
const SETTLE_MS = 3000;
const ROUNDS = { rounds: 3, durationMs: 2000, atLeast: 20 };
const CALLS = 30;

/** Ask as the Tinker SDK does, in a process of its own. @param plan that of sdk-client.mjs */
export async function ask(plan) {
  const child = fork(SDK_CLIENT, [JSON.stringify({ ...ROUNDS, ...plan })]);
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`the client ended with ${code}`);
  });
  const [[result]] = await Promise.all([once(child, 'message'), ended]);
  return result;
}

function health(port, connections) {
  const plan = { port, connections, durationMs: 2500, path: '/api/v1/healthz' };
  return median(3, 'requestsPerSecond', () => load(plan));
}

/** Calls of the client's own class, in the peer's environment for both servers. */
async function twinkleCalls(python, url) {
  const env = { ...process.env, HF_HUB_OFFLINE: '1' };
  const { stdout } = await promisify(execFile)(python, [TWINKLE_CLIENT, url, String(CALLS)], { env });
  const { ms } = JSON.parse(stdout.trim().split('\n').at(-1));
  return { p50Ms: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99) };
}

function pssOrNone(pid) {
  try {
    return pssMb(pid);
  } catch {
    return 0; // it ended meanwhile
  }
}

/** Memory of a server that nobody has asked for anything yet. */
async function idle(server) {
  await sleep(SETTLE_MS);
  const pids = server.pids();
  return { processes: pids.length, mb: pids.reduce((sum, pid) => sum + pssOrNone(pid), 0) };
}

/** All figures of a server that has just started. */
export async function figures(server, python) {
  const { port, startedS, missing, url } = server;
  return {
    startedS,
    missing,
    idle: await idle(server),
    health: { 1: await health(port, 1), 64: await health(port, 64) },
    train: {
      1: await ask({ port, kind: 'forward_backward', concurrent: 1 }),
      16: await ask({ port, kind: 'forward_backward', concurrent: 16 }),
    },
    sample: {
      1: await ask({ port, kind: 'asample', concurrent: 1 }),
      16: await ask({ port, kind: 'asample', concurrent: 16 }),
    },
    calls: await twinkleCalls(python, url),
  };
}
