/**
 * Tinker's API. Without a model (engine mock): what a forward_backward and the fetching of its answer cost; the Twinkle server's figures are those of
 * shared facts, measured on such a machine with its mock backend on Ray. What answers that are kept cost, and a start that finds them. With a model of 0.5 M parameters: the rate of training beside a bare
 * torch + PEFT loop that takes turns with it, and of eight tenants beside one; how long samples take that are asked for at the same time.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keepAnswers } from '../lib/kept-answers.mjs';
import { median, quantile } from '../lib/load.mjs';
import { enginePython } from '../lib/python.mjs';
import { randomModel } from '../lib/random-model.mjs';
import { startServer } from '../lib/server.mjs';
import { train as trainAs } from '../lib/tinker-train.mjs';

const LOOP = fileURLToPath(new URL('../peers/peft_loop.py', import.meta.url));
const ENVIRONMENT = fileURLToPath(new URL('../../.ci/python-env', import.meta.url));
/** By concurrency: what is to be reached, and what the Twinkle server does. */
const GOALS = [
  { runs: 1, target: 1000, twinkle: 14 },
  { runs: 16, target: 2500, twinkle: 17 },
];
const ROUNDS = 5;
const TENANTS = 8;
/** Samples at a time, tokens of each, and how often. */
const SAMPLES = { concurrent: 16, tokens: 16, rounds: 30 };
/** Datums × tokens of a step. */
const SIZES = [
  { datums: 1, tokens: 32 },
  { datums: 8, tokens: 128 },
];

const train = (plan) => trainAs({ durationMs: 3000, vocabulary: 500, ...plan });
const middle = (values) => quantile(values, 0.5);

async function* withoutModel() {
  const server = await startServer(['mock', '--engine', 'mock']);
  try {
    for (const { runs, target, twinkle } of GOALS) {
      const plan = { port: server.port, runs, model: 'mock', datums: 1, tokens: 16 };
      const floors = [];
      const { perSecond, p50Ms, p99Ms } = await median(ROUNDS, 'perSecond', async () => {
        floors.push((await train({ ...plan, nothing: true })).perSecond);
        return await train(plan);
      });
      yield {
        what: `forward_backward and its answer, mock engine, ${runs} at a time`,
        unit: 'per s',
        ours: perSecond,
        peer: twinkle,
        peerName: 'Twinkle server, measured elsewhere',
        target,
        note: `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms; two requests that compute nothing: ${Math.round(middle(floors))} per s`,
      };
    }
  } finally {
    await server.stop();
  }
}

async function serverAfter(what) {
  const home = mkdtempSync(join(tmpdir(), 'twinkle-bench-'));
  const kept = await keepAnswers(home, what);
  return { kept, server: await startServer(['mock', '--engine', 'mock'], home) };
}

/** The last answer is there: it is the same server, as its clients see it. */
async function checkAnswer({ url }, { requests }, bytes) {
  const body = JSON.stringify({ request_id: requests.at(-1) });
  const headers = { 'content-type': 'application/json', accept: 'application/x-protobuf' };
  const answer = await fetch(`${url}/api/v1/retrieve_future`, { method: 'POST', headers, body });
  const { byteLength } = await answer.arrayBuffer();
  if (answer.status !== 200 || byteLength !== bytes) throw new Error(`an answer was lost: ${answer.status}`);
}

async function* withAnswers() {
  const { server: full } = await serverAfter({ runs: 2000, answers: 50, bytes: 500 });
  const empty = await startServer(['mock', '--engine', 'mock']);
  try {
    const rates = { full: [], empty: [] };
    for (let round = 0; round < ROUNDS; round++) {
      const plan = { runs: 16, model: 'mock', datums: 1, tokens: 16 };
      rates.full.push((await train({ ...plan, port: full.port })).perSecond);
      rates.empty.push((await train({ ...plan, port: empty.port })).perSecond);
    }
    yield {
      what: 'the same, 16 at a time, with 100,000 answers kept',
      unit: 'per s',
      ours: middle(rates.full),
      peer: middle(rates.empty),
      peerName: 'none kept',
      target: 0.9 * middle(rates.empty),
    };
  } finally {
    await full.stop();
    await empty.stop();
  }
  const { ms } = await median(3, 'ms', async () => {
    const bytes = 2000;
    const { kept, server } = await serverAfter({ runs: 1000, answers: 50, bytes });
    try {
      await checkAnswer(server, kept, bytes);
      return { ms: server.readyMs };
    } finally {
      await server.stop();
    }
  });
  yield {
    what: 'command to ready, mock, after 1,000 runs with 50 answers each',
    unit: 's',
    ours: ms / 1000,
    target: 2,
    lowerIsBetter: true,
    note: 'answers of 2 KB',
  };
}

/** Steps per second of a bare loop in the environment of the tests, which has PEFT. */
function bareLoop(python, folder) {
  const env = { ...process.env, HF_HUB_OFFLINE: '1' };
  const stdio = ['ignore', 'pipe', 'ignore'];
  return Number(execFileSync(python, [LOOP, folder, '3'], { encoding: 'utf8', env, stdio }).split('figures:').at(-1));
}

async function* withModel() {
  const python = await enginePython('transformers', process.env.TWINKLE_PYTHON);
  const folderOfTests = execFileSync('bash', [ENVIRONMENT], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  const small = randomModel(python, '0.5m');
  const server = await startServer([small.folder, '--served-model-name', 'small', '--cpu', '--dtype', 'float32']);
  try {
    const shared = { port: server.port, model: 'small', step: true, depth: 4 };
    const ours = [];
    const bare = [];
    for (let round = 0; round < ROUNDS; round++) {
      ours.push((await train({ ...shared, runs: 1, datums: 8, tokens: 128 })).perSecond);
      bare.push(bareLoop(`${folderOfTests.trim()}/bin/python`, small.folder));
    }
    yield {
      what: 'forward_backward + optim_step, 8 × 128 tokens, 0.5 M parameters, pipelined',
      unit: 'steps/s',
      ours: middle(ours),
      peer: middle(bare),
      peerName: 'bare torch + PEFT loop',
      target: 0.9 * middle(bare),
    };
    for (const size of SIZES) {
      const alone = [];
      const together = [];
      for (let round = 0; round < ROUNDS; round++) {
        alone.push((await train({ ...shared, ...size, runs: 1 })).perSecond);
        together.push((await train({ ...shared, ...size, runs: TENANTS })).perSecond);
      }
      const tokens = size.datums * size.tokens;
      yield {
        what: `${TENANTS} tenants at once, ${size.datums} × ${size.tokens} tokens a step`,
        unit: 'tokens/s',
        ours: middle(together) * tokens,
        peer: middle(alone) * tokens,
        peerName: 'one after another',
        target: 2 * middle(alone) * tokens,
      };
    }
    const { maxMs, p50Ms, p99Ms } = await train({ port: server.port, model: 'small', samples: SAMPLES });
    yield {
      what: `${SAMPLES.concurrent} concurrent samples of ${SAMPLES.tokens} tokens, 0.5 M parameters`,
      unit: 's',
      ours: p50Ms / 1000,
      peer: 6.7,
      peerName: "SkyRL's Tinker server (JAX CPU), measured elsewhere",
      target: 0.4,
      lowerIsBetter: true,
      note: `of ${SAMPLES.rounds} rounds: p50 ${p50Ms.toFixed(0)} ms, p99 ${p99Ms.toFixed(0)} ms, longest ${maxMs.toFixed(0)} ms`,
    };
  } finally {
    await server.stop();
    small[Symbol.dispose]();
  }
}

export async function* rows() {
  yield* withoutModel();
  yield* withAnswers();
  yield* withModel();
}
