/**
 * Engine vllm beside `vllm serve` of the same environment, model and arguments, and beside the bare engine: all three are up, and take turns,
 * because this machine's speed changes by the minute. Rates and times to the first token are of a model of 1 M parameters, as the peer was
 * measured: a step of it is mostly Python, so what a server adds shows. The demo's steps are mostly arithmetic; start, restart and memory
 * are the demo's.
 */
import { load, median, quantile } from '../lib/load.mjs';
import { descendants, pssMb } from '../lib/processes.mjs';
import { enginePython } from '../lib/python.mjs';
import { DEMO, randomModel } from '../lib/random-model.mjs';
import { restart } from '../lib/restart.mjs';
import { startServer } from '../lib/server.mjs';
import { ARGS, KV_ARGS, startBare, startVllmServe } from '../lib/vllm-peer.mjs';

const CONNECTIONS = 32;
const TOKENS = 64;
const ROUNDS = 5;
/** Fewer than what ends a server as a crash loop. */
const RESTARTS = 3;
const STARTS = 3;

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
  durationMs: 4000,
  method: 'POST',
  path: '/v1/completions',
  body: request(tokens),
  sse: true,
});

/** Memory of a process and all its descendants, MB. */
const memory = (pid) => [pid, ...descendants(pid)].reduce((sum, one) => sum + pssMb(one), 0);

/** Medians of what takes turns: each of `takes` once a round. */
async function inTurns(takes, times = ROUNDS) {
  const rounds = [];
  for (let round = 0; round < times; round++) {
    const figures = {};
    for (const [name, take] of Object.entries(takes)) figures[name] = await take();
    rounds.push(figures);
  }
  return Object.fromEntries(Object.keys(takes).map((name) => [name, middle(rounds.map((figures) => figures[name]))]));
}

/** The median of each figure. */
const middle = (all) =>
  Object.fromEntries(
    Object.keys(all[0]).map((key) => [
      key,
      quantile(
        all.map((figures) => figures[key]),
        0.5,
      ),
    ]),
  );

/** By requests, not events: a token whose text is not certain yet may have no event of its own. */
async function streamed({ port }) {
  const { requestsPerSecond, firstP50Ms, firstP99Ms } = await load(plan(port, TOKENS));
  return { tokens: requestsPerSecond * TOKENS, firstP50Ms, firstP99Ms };
}

async function single({ port }) {
  return { requests: (await load(plan(port, 1))).requestsPerSecond };
}

const startOurs = (python, model) =>
  startServer([
    ...[model, '--served-model-name', 'demo', '--engine', 'vllm', '--cpu', '--python', python],
    ...ARGS,
    ...KV_ARGS,
  ]);

/** From the command to healthy, with nothing else running. */
async function started(starting) {
  const server = await starting;
  await server.stop();
  return { ms: server.readyMs };
}

/** One model: ours, `vllm serve`, and the engine with no server around it. */
async function compare(python, model) {
  const running = [];
  const up = async (starting) => {
    running.push(await starting);
    return running.at(-1);
  };
  try {
    const ours = await up(startOurs(python, model));
    const serve = await up(startVllmServe(python, model));
    const bare = await up(startBare(python, model, CONNECTIONS, TOKENS));
    for (const { port } of [ours, serve]) await load({ ...plan(port, TOKENS), durationMs: 2000 });
    const rates = await inTurns({
      ours: () => streamed(ours),
      serve: () => streamed(serve),
      bare: () => bare.round(),
      oursSingle: () => single(ours),
      serveSingle: () => single(serve),
    });
    const memoryMb = { ours: memory(ours.pid), serve: memory(serve.pid) };
    const { ms: restartMs } = await median(RESTARTS, 'ms', () => restart(ours, 'demo', 50));
    return { ...rates, memoryMb, restartMs };
  } finally {
    for (const one of running.reverse()) await one.stop();
  }
}

const lower = { peerName: 'vllm serve', lowerIsBetter: true };

function* servingRows(name, { ours, serve, bare, oursSingle, serveSingle }) {
  yield {
    what: `${name}: streamed tokens, ${CONNECTIONS} connections × ${TOKENS}`,
    unit: 'tokens/s',
    ours: ours.tokens,
    peer: serve.tokens,
    peerName: 'vllm serve',
    target: 2 * serve.tokens,
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
    ours: oursSingle.requests,
    peer: serveSingle.requests,
    peerName: 'vllm serve',
    target: 1.8 * serveSingle.requests,
    note: `the engine alone: ${Math.round(bare.requests)}`,
  };
  yield {
    what: `${name}: time to first token, ${CONNECTIONS} connections, p99`,
    unit: 'ms',
    ours: ours.firstP99Ms,
    peer: serve.firstP99Ms,
    target: 0.6 * serve.firstP99Ms,
    note: `p50 ${ours.firstP50Ms.toFixed(1)} against ${serve.firstP50Ms.toFixed(1)} ms`,
    ...lower,
  };
}

export async function* rows() {
  const python = await enginePython('vllm', process.env.TWINKLE_PYTHON);
  const small = randomModel(python, '1m');
  try {
    yield* servingRows('1 M parameters', await compare(python, small.folder));
  } finally {
    small[Symbol.dispose]();
  }
  const starts = {
    ours: () => started(startOurs(python, DEMO)),
    serve: () => started(startVllmServe(python, DEMO)),
  };
  const { ours, serve } = await inTurns(starts, STARTS);
  const demo = await compare(python, DEMO);
  yield* servingRows('demo', demo);
  yield {
    what: 'demo: command to healthy',
    unit: 's',
    ours: ours.ms / 1000,
    peer: serve.ms / 1000,
    target: (0.3 * serve.ms) / 1000,
    note: `medians of ${STARTS} starts each, alone, in turns`,
    ...lower,
  };
  yield {
    what: 'demo: kill -9 of the rank to an answer',
    unit: 's',
    ours: demo.restartMs / 1000,
    target: 4,
    lowerIsBetter: true,
  };
  yield {
    what: 'demo: memory (PSS) of all processes after the load',
    unit: 'MB',
    ours: demo.memoryMb.ours,
    peer: demo.memoryMb.serve,
    target: demo.memoryMb.serve,
    ...lower,
  };
}
