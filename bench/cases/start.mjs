/** From the command to `ready`, and from a rank's kill -9 to an answer again. The demo's peer is the import of torch and transformers alone. */
import { spawnSync } from 'node:child_process';
import { median } from '../lib/load.mjs';
import { enginePython } from '../lib/python.mjs';
import { restart } from '../lib/restart.mjs';
import { startServer } from '../lib/server.mjs';

const MOCK = ['mock', '--engine', 'mock'];
const DEMO = ['--cpu'];

async function readyMs(args) {
  const server = await startServer(args);
  await server.stop();
  return { ms: server.readyMs };
}

async function restartMs(args, model) {
  const server = await startServer(args);
  try {
    return await restart(server, model, 20);
  } finally {
    await server.stop();
  }
}

async function importMs() {
  const python = await enginePython('transformers');
  const code = 'import torch; from transformers import AutoModelForCausalLM, AutoTokenizer';
  const started = performance.now();
  spawnSync(python, ['-c', code], { stdio: 'inherit' });
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
