/**
 * Streaming through the gateway at 256 connections beside `vllm serve`, same model, device and arguments, alternating: medians; and the
 * engine with no server around it. `GPU_TEST_ROUNDS` (default 3). Random weights in the shape of Qwen3-0.6B.
 */
import { load } from '../../bench/lib/load.mjs';
import { randomModel } from '../../bench/lib/random-model.mjs';
import { startVllmServe } from '../../bench/lib/vllm-peer.mjs';
import { median, PYTHON, Report } from './lib/report.mjs';
import { serve } from './lib/server.mjs';
import { python } from './lib/vllm-layouts.mjs';

const CONNECTIONS = 256;
const CLIENTS = 4;
const TOKENS = 128;
const DURATION_MS = 8000;
const ROUNDS = Number(process.env.GPU_TEST_ROUNDS ?? 3);
const ARGS = ['--dtype', 'bfloat16', '--max-model-len', '1024', '--max-num-seqs', String(CONNECTIONS)];
const MEMORY = ['--gpu-memory-utilization', '0.4', '--no-enable-prefix-caching'];
const report = new Report('gpu-vllm-gateway');
const model = randomModel(PYTHON, 'qwen3-0.6b');

const body = JSON.stringify({
  model: 'demo',
  prompt: [101, 7, 8, 9, 10, 11, 12, 13],
  stream: true,
  max_tokens: TOKENS,
  ignore_eos: true,
  temperature: 0,
});

/** Tokens per second and times to the first, over several client processes: one alone would be the limit. */
async function streamed(port) {
  const plan = { port, connections: CONNECTIONS / CLIENTS, method: 'POST', path: '/v1/completions', body, sse: true };
  await load({ ...plan, durationMs: 2000 });
  const runs = await Promise.all(Array.from({ length: CLIENTS }, () => load({ ...plan, durationMs: DURATION_MS })));
  return {
    tokens: Math.round(runs.reduce((sum, run) => sum + run.eventsPerSecond, 0)),
    firstP50Ms: Math.round(median(runs.map((run) => run.firstP50Ms))),
    firstP99Ms: Math.round(Math.max(...runs.map((run) => run.firstP99Ms))),
  };
}

async function ofServer(start) {
  const server = await start();
  try {
    return await streamed(server.port);
  } finally {
    await server.stop();
  }
}

try {
  report.figure('parameters', model.parameters);
  await report.part('gateway', async () => {
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      const names = ['--served-model-name', 'demo', '--engine', 'vllm', '--gpus', '0'];
      const ours = await ofServer(() => serve([model.folder, ...names, ...ARGS, ...MEMORY]));
      const vllm = await ofServer(() => startVllmServe(PYTHON, model.folder, [...ARGS, ...MEMORY], {}));
      rounds.push({ ours, vllm });
      report.figure('rounds', rounds);
    }
    const floor = python('vllm_executor.py', model.folder, 1, 1, TOKENS, 3, CONNECTIONS)[CONNECTIONS];
    const [ours, vllm] = ['ours', 'vllm'].map((side) => median(rounds.map((round) => round[side].tokens)));
    const row = { ours, vllm, ratio: Math.round((ours / vllm) * 100) / 100, bareEngine: Math.round(floor) };
    report.figure(`tokens/s at ${CONNECTIONS} connections, medians of ${ROUNDS}`, row);
    report.check('at least twice the tokens of vllm serve', row.ratio >= 2, row);
  });
} finally {
  model[Symbol.dispose]();
}
report.end();
