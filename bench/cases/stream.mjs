/** Streamed tokens per second through the gateway on the mock engine, one SSE chunk a token, against bare Node writes. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { load, median } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

const TOKENS = 512;
const body = JSON.stringify({ model: 'mock', prompt: 'tell me', stream: true, max_tokens: TOKENS });

export async function* rows() {
  const bare = fork(fileURLToPath(new URL('../lib/bare-sse.mjs', import.meta.url)), [String(TOKENS), '0']);
  const [{ port }] = await once(bare, 'message');
  const server = await startServer(['mock', '--engine', 'mock', '--step-ms', '0.6']);
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
  } finally {
    await server.stop();
    bare.kill();
  }
}
