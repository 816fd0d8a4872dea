/** Engine vllm beside `vllm serve` of the same environment, model and arguments, in one run; and beside the bare engine. */
import { setTimeout as sleep } from 'node:timers/promises';
import { resolvePythons } from '../../dist/runtime/configure.js';
import { load, median } from '../lib/load.mjs';
import { descendants, pssMb } from '../lib/processes.mjs';
import { startServer } from '../lib/server.mjs';
import { ARGS, KV_ARGS, runVllm, startVllmServe } from '../lib/vllm-peer.mjs';

const CONNECTIONS = 32;
const TOKENS = 64;
const ROUNDS = 3;

const request = (tokens) =>
  JSON.stringify({
    model: 'demo',
    prompt: 'tell me',
    stream: true,
    max_tokens: tokens,
    ignore_eos: true,
    temperature: 0,
  });

const plan = (port, tokens) => ({
  port,
  connections: CONNECTIONS,
  durationMs: 5000,
  method: 'POST',
  path: '/v1/completions',
  body: request(tokens),
  sse: true,
});

/** Memory of a process and all its descendants, MB. */
const memory = (pid) => [pid, ...descendants(pid)].reduce((sum, one) => sum + pssMb(one), 0);

async function measure({ port, pid, readyMs }) {
  await load({ ...plan(port, TOKENS), durationMs: 2000 });
  const streamed = await median(ROUNDS, 'eventsPerSecond', () => load(plan(port, TOKENS)));
  const single = await median(ROUNDS, 'requestsPerSecond', () => load(plan(port, 1)));
  return { readyMs, streamed, single, memoryMb: memory(pid) };
}

async function vllmPython() {
  const interpreter = process.env.TWINKLE_PYTHON ?? null;
  const config = {
    models: [{ engine: 'vllm', placement: { accelerator: null } }],
    python: { interpreter, mayInstall: true },
  };
  const pythons = await resolvePythons(config, { env: process.env, progress: { step() {}, detail() {} } });
  return pythons.get('vllm').python;
}

/** From a rank's kill -9 to an answer again, ms. */
async function restart(server) {
  const ask = () =>
    fetch(`${server.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'demo', prompt: 'The river', max_tokens: 1 }),
    });
  await (await ask()).json();
  const pid = await server.rankPid();
  const begun = performance.now();
  process.kill(pid, 'SIGKILL');
  // The server has to notice first: a request in flight would end with an error, as it should.
  await sleep(50);
  const answer = await ask();
  if (answer.status !== 200) throw new Error(await answer.text());
  return performance.now() - begun;
}

export async function* rows() {
  const python = await vllmPython();
  const model = new URL('../../python-workers/demo_model/model', import.meta.url).pathname;
  const server = await startServer(['demo', '--engine', 'vllm', '--cpu', '--python', python, ...ARGS, ...KV_ARGS]);
  let ours;
  let restartMs;
  try {
    ours = await measure(server);
    restartMs = (await median(ROUNDS, 'ms', async () => ({ ms: await restart(server) }))).ms;
  } finally {
    await server.stop();
  }
  const serve = await startVllmServe(python, model);
  let peer;
  try {
    peer = await measure(serve);
  } finally {
    await serve.stop();
  }
  const bare = await runVllm(python, 'bare.py', [model, CONNECTIONS, TOKENS, 5]);
  const lower = { peerName: 'vllm serve', lowerIsBetter: true };
  const rate = ours.streamed.eventsPerSecond;
  yield {
    what: `streamed tokens, ${CONNECTIONS} connections × ${TOKENS}`,
    unit: 'tokens/s',
    ours: rate,
    peer: peer.streamed.eventsPerSecond,
    peerName: 'vllm serve',
    target: 2 * peer.streamed.eventsPerSecond,
  };
  yield {
    what: 'the same, beside the engine with no server around it',
    unit: 'tokens/s',
    ours: rate,
    peer: bare.tokens,
    peerName: 'vllm.LLM in process',
    target: 0.85 * bare.tokens,
  };
  yield {
    what: `one-token streamed requests, ${CONNECTIONS} connections`,
    unit: 'req/s',
    ours: ours.single.requestsPerSecond,
    peer: peer.single.requestsPerSecond,
    peerName: 'vllm serve',
    target: 1.8 * peer.single.requestsPerSecond,
    note: `the engine alone: ${Math.round(bare.requests)}`,
  };
  yield {
    what: `time to first token, ${CONNECTIONS} connections, p99`,
    unit: 'ms',
    ours: ours.streamed.firstP99Ms,
    peer: peer.streamed.firstP99Ms,
    target: 0.6 * peer.streamed.firstP99Ms,
    note: `p50 ${ours.streamed.firstP50Ms.toFixed(1)} against ${peer.streamed.firstP50Ms.toFixed(1)} ms`,
    ...lower,
  };
  yield {
    what: 'command to healthy',
    unit: 's',
    ours: ours.readyMs / 1000,
    peer: peer.readyMs / 1000,
    target: (0.3 * peer.readyMs) / 1000,
    ...lower,
  };
  yield { what: 'kill -9 of the rank to an answer', unit: 's', ours: restartMs / 1000, target: 4, lowerIsBetter: true };
  yield {
    what: 'memory (PSS) of all processes after the load',
    unit: 'MB',
    ours: ours.memoryMb,
    peer: peer.memoryMb,
    target: peer.memoryMb,
    ...lower,
  };
}
