/** One-token completions, not streamed: what a request costs end to end at several levels of concurrency. */
import { load } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

const body = JSON.stringify({ model: 'mock', prompt: 'tell me', max_tokens: 1 });

export async function* rows() {
  const server = await startServer(['mock', '--engine', 'mock']);
  try {
    for (const connections of [1, 8, 32, 64]) {
      const { requestsPerSecond, p50Ms, p99Ms } = await load({
        port: server.port,
        connections,
        durationMs: 3000,
        method: 'POST',
        path: '/v1/completions',
        body,
      });
      yield {
        what: `one-token requests, ${connections} connection(s)`,
        unit: 'req/s',
        ours: requestsPerSecond,
        note: `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`,
      };
    }
  } finally {
    await server.stop();
  }
}
