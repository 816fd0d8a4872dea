/**
 * Engine vllm beside `vllm serve` of the same environment, model and arguments, in one run; and beside the bare engine. Rates and times to
 * the first token are of a model of 1 M parameters, as shared facts measured the peer: a step of it is mostly Python, so what a server adds
 * shows. The demo, whose steps are mostly arithmetic, has a rate of its own; start, restart and memory are the demo's.
 */
import { load, median } from '../lib/load.mjs';
import { descendants, pssMb } from '../lib/processes.mjs';
import { enginePython } from '../lib/python.mjs';
import { DEMO, randomModel } from '../lib/random-model.mjs';
import { restart } from '../lib/restart.mjs';
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
  const streamed = await median(ROUNDS, 'requestsPerSecond', () => load(plan(port, TOKENS)));
  const single = await median(ROUNDS, 'requestsPerSecond', () => load(plan(port, 1)));
  // By requests, not events: a token whose text is not certain yet may have no event of its own.
  return { readyMs, streamed, tokens: streamed.requestsPerSecond * TOKENS, single, memoryMb: memory(pid) };
}

/** One model: ours, `vllm serve`, and the engine with no server around it. */
async function compare(python, model, more = async () => {}) {
  const args = ['--served-model-name', 'demo', '--engine', 'vllm', '--cpu', '--python', python];
  const server = await startServer([model, ...args, ...ARGS, ...KV_ARGS]);
  let ours;
  try {
    ours = await measure(server);
    await more(server);
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
  return { ours, peer, bare: await runVllm(python, 'bare.py', [model, CONNECTIONS, TOKENS, 5]) };
}

const lower = { peerName: 'vllm serve', lowerIsBetter: true };

function* rates(name, { ours, peer, bare }) {
  yield {
    what: `${name}: streamed tokens, ${CONNECTIONS} connections × ${TOKENS}`,
    unit: 'tokens/s',
    ours: ours.tokens,
    peer: peer.tokens,
    peerName: 'vllm serve',
    target: 2 * peer.tokens,
  };
  yield {
    what: `${name}: the same, beside the engine with no server around it`,
    unit: 'tokens/s',
    ours: ours.tokens,
    peer: bare.tokens,
    peerName: 'vllm.LLM in process',
    target: 0.85 * bare.tokens,
  };
  yield {
    what: `${name}: one-token streamed requests, ${CONNECTIONS} connections`,
    unit: 'req/s',
    ours: ours.single.requestsPerSecond,
    peer: peer.single.requestsPerSecond,
    peerName: 'vllm serve',
    target: 1.8 * peer.single.requestsPerSecond,
    note: `the engine alone: ${Math.round(bare.requests)}`,
  };
  yield {
    what: `${name}: time to first token, ${CONNECTIONS} connections, p99`,
    unit: 'ms',
    ours: ours.streamed.firstP99Ms,
    peer: peer.streamed.firstP99Ms,
    target: 0.6 * peer.streamed.firstP99Ms,
    note: `p50 ${ours.streamed.firstP50Ms.toFixed(1)} against ${peer.streamed.firstP50Ms.toFixed(1)} ms`,
    ...lower,
  };
}

export async function* rows() {
  const python = await enginePython('vllm', process.env.TWINKLE_PYTHON);
  const small = randomModel(python, '1m');
  try {
    yield* rates('1 M parameters', await compare(python, small.folder));
  } finally {
    small[Symbol.dispose]();
  }
  let restartMs;
  const demo = await compare(python, DEMO, async (server) => {
    restartMs = (await median(ROUNDS, 'ms', () => restart(server, 'demo', 50))).ms;
  });
  yield* rates('demo', demo);
  yield {
    what: 'demo: command to healthy',
    unit: 's',
    ours: demo.ours.readyMs / 1000,
    peer: demo.peer.readyMs / 1000,
    target: (0.3 * demo.peer.readyMs) / 1000,
    ...lower,
  };
  yield {
    what: 'demo: kill -9 of the rank to an answer',
    unit: 's',
    ours: restartMs / 1000,
    target: 4,
    lowerIsBetter: true,
  };
  yield {
    what: 'demo: memory (PSS) of all processes after the load',
    unit: 'MB',
    ours: demo.ours.memoryMb,
    peer: demo.peer.memoryMb,
    target: demo.peer.memoryMb,
    ...lower,
  };
}
