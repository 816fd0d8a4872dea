/** Streamed tokens per second on the mock engine: through the gateway, one SSE chunk a token, against bare Node writes; and without HTTP. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../../dist/protocol/defaults.js';
import { startGang } from '../lib/gang.mjs';
import { load, median } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

const TOKENS = 512;
const STEP_MS = 0.6;
const GENERATE = {
  request_id: 'bench',
  prompt: { ...EMPTY_PROMPT, text: 'tell me' },
  sampling: { ...DEFAULT_SAMPLING, max_tokens: TOKENS },
  n: 1,
  echo: false,
};
const body = JSON.stringify({ model: 'mock', prompt: 'tell me', stream: true, max_tokens: TOKENS });

const STREAMS = 32;
const SECONDS = 4;

/** Tokens per second from the rank to a sink in this process: serving and channel, no HTTP. */
async function inProcess() {
  const { service, stop } = await startGang({ step_ms: STEP_MS });
  let tokens = 0;
  let over = false;
  const run = () =>
    new Promise((resolve, reject) => {
      const sink = {
        delta: (delta) => {
          tokens += delta.token_ids.length;
        },
        end: resolve,
        error: reject,
      };
      service.generate(GENERATE, sink, { tenant: 'local' });
    });
  const started = performance.now();
  setTimeout(() => {
    over = true;
  }, SECONDS * 1000);
  await Promise.all(
    Array.from({ length: STREAMS }, async () => {
      while (!over) await run();
    }),
  );
  const rate = tokens / ((performance.now() - started) / 1000);
  await stop();
  return rate;
}

export async function* rows() {
  const bare = fork(fileURLToPath(new URL('../lib/bare-sse.mjs', import.meta.url)), [String(TOKENS), '0']);
  const [{ port }] = await once(bare, 'message');
  const server = await startServer(['mock', '--engine', 'mock', '--step-ms', String(STEP_MS)]);
  const plan = { connections: 32, durationMs: 4000, method: 'POST', path: '/v1/completions', body, sse: true };
  try {
    const peer = await median(3, 'eventsPerSecond', () => load({ ...plan, port }));
    const ours = await median(3, 'eventsPerSecond', () => load({ ...plan, port: server.port }));
    yield {
      what: 'streamed tokens through the gateway, 32 connections',
      unit: 'chunks/s',
      ours: ours.eventsPerSecond,
      peer: peer.eventsPerSecond,
      peerName: 'bare Node writes',
      target: 35_000,
      note: `TTFT p50 ${ours.firstP50Ms.toFixed(1)} ms, p99 ${ours.firstP99Ms.toFixed(1)} ms; Ray Serve was measured at 7,600 elsewhere`,
    };
    yield {
      what: 'the same without HTTP, 32 streams',
      unit: 'tokens/s',
      ours: await inProcess(),
      peer: ours.eventsPerSecond,
      peerName: 'through the gateway',
      note: `the engine makes ${Math.round(32000 / STEP_MS).toLocaleString('en')} at most`,
    };
  } finally {
    await server.stop();
    bare.kill();
  }
}
