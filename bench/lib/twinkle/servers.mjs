/** Our server and the peer's, each from nothing: `{ url, port, startedS, missing, pids(), stop() }`; `missing`: applications that do not answer. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { descendants } from '../processes.mjs';
import { startServer } from '../server.mjs';
import { allAnswer } from './applications.mjs';
import { writeConfig } from './config.mjs';

const here = (path) => fileURLToPath(new URL(`../../peers/twinkle/${path}`, import.meta.url));
const OURS_MS = 30_000;
const PEERS_MS = 300_000;
const seconds = (begun) => (performance.now() - begun) / 1000;
/** Short: Ray makes sockets below it, whose paths are limited. */
const newFolder = () => mkdtempSync(join(tmpdir(), 'twb-'));
const statePath = (folder, kept) => (kept ? join(folder, 'state.json') : null);

/** A Python that has the peer. */
export const peerPython = () => execFileSync('bash', [here('python-env')], { encoding: 'utf8' }).trim();

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** @param {{ file?: boolean }} options file: with persistence in a file */
export async function startOurs({ file = false } = {}) {
  const folder = newFolder();
  const config = writeConfig(folder, { port: await freePort(), state: statePath(folder, file) });
  const begun = performance.now();
  const server = await startServer(['--config', config]);
  const stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  const { url, port, pid } = server;
  try {
    const missing = await allAnswer(url, AbortSignal.timeout(OURS_MS), ['processor']);
    return { url, port, startedS: seconds(begun), missing, pids: () => [pid, ...descendants(pid)], stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The same for the peer. `keep(count)`: its state file has so many futures. */
export async function startPeer(python, { file = false } = {}) {
  const folder = newFolder();
  const port = await freePort();
  const state = statePath(folder, file);
  const config = writeConfig(folder, { port, state });
  const url = `http://127.0.0.1:${port}`;
  const begun = performance.now();
  const child = spawn(python, [here('serve.py'), config, folder], { stdio: ['pipe', 'ignore', 'pipe'] });
  const ended = once(child, 'exit');
  const words = [];
  child.stderr.on('data', (chunk) => words.push(chunk));
  const stop = async () => {
    child.stdin.end();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const over = new AbortController();
  const limit = setTimeout(() => over.abort(new Error(`no answer within ${PEERS_MS} ms`)), PEERS_MS);
  child.once('exit', () => over.abort(new Error('it ended')));
  try {
    await allAnswer(url, over.signal);
  } catch {
    const log = join(folder, 'server.log');
    const said = existsSync(log) ? readFileSync(log, 'utf8') : Buffer.concat(words).toString();
    await stop();
    throw new Error(`the peer did not start: ${over.signal.reason?.message}\n${said.slice(-4000)}`);
  } finally {
    clearTimeout(limit);
  }
  return {
    url,
    port,
    startedS: seconds(begun),
    missing: [],
    pids: () => descendants(child.pid),
    keep: (count) => execFileSync(python, [here('keep_futures.py'), state, String(count)]),
    stop,
  };
}
