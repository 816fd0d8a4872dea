/** From the command to `ready`, and from a rank's kill -9 to an answer again. The demo's peer is the import of torch and transformers alone. */
import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolvePythons } from '../../dist/runtime/configure.js';
import { median } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

const MOCK = ['mock', '--engine', 'mock'];
const DEMO = ['--cpu'];

async function readyMs(args) {
  const server = await startServer(args);
  await server.stop();
  return { ms: server.readyMs };
}

/** Kill the rank and ask at once: the request waits for the restart and is served. */
async function restartMs(args, model) {
  const server = await startServer(args);
  try {
    const body = JSON.stringify({ model, prompt: 'The river', max_tokens: 1 });
    const ask = () =>
      fetch(`${server.url}/v1/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
    await (await ask()).json();
    const pid = await server.rankPid();
    const started = performance.now();
    process.kill(pid, 'SIGKILL');
    // The server has to notice first: a request in flight would end with an error, as it should.
    await sleep(20);
    const answer = await ask();
    if (answer.status !== 200) throw new Error(await answer.text());
    return { ms: performance.now() - started };
  } finally {
    await server.stop();
  }
}

async function importMs() {
  const config = {
    models: [{ engine: 'transformers', placement: { accelerator: null } }],
    python: { interpreter: null, mayInstall: true },
  };
  const pythons = await resolvePythons(config, { env: process.env, progress: { step() {}, detail() {} } });
  const code = 'import torch; from transformers import AutoModelForCausalLM, AutoTokenizer';
  const started = performance.now();
  spawnSync(pythons.get('transformers').python, ['-c', code], { stdio: 'inherit' });
  return { ms: performance.now() - started };
}

export async function* rows() {
  const ms = async (measure, runs = 3) => (await median(runs, 'ms', measure)).ms / 1000;
  yield {
    what: 'command to ready, mock model',
    unit: 's',
    ours: await ms(() => readyMs(MOCK), 5),
    target: 1,
    lowerIsBetter: true,
  };
  yield {
    what: 'command to ready, demo model',
    unit: 's',
    ours: await ms(() => readyMs(DEMO)),
    peer: await ms(importMs),
    peerName: 'importing torch and transformers',
    target: 9,
    lowerIsBetter: true,
  };
  yield {
    what: 'kill -9 of the rank to an answer, mock',
    unit: 's',
    ours: await ms(() => restartMs(MOCK, 'mock')),
    lowerIsBetter: true,
  };
  yield {
    what: 'kill -9 of the rank to an answer, demo',
    unit: 's',
    ours: await ms(() => restartMs(DEMO, 'demo')),
    target: 1.5,
    lowerIsBetter: true,
  };
}
