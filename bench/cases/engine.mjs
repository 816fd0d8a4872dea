/** The transformers engine: many streams against one, on the demo model. */
import { load } from '../lib/load.mjs';
import { startServer } from '../lib/server.mjs';

const TOKENS = 64;
const body = JSON.stringify({
  model: 'demo',
  prompt: 'Once upon a time',
  stream: true,
  max_tokens: TOKENS,
  ignore_eos: true,
  temperature: 0.8,
});

export async function* rows() {
  const server = await startServer(['--cpu']);
  try {
    const plan = { port: server.port, durationMs: 6000, method: 'POST', path: '/v1/completions', body, sse: true };
    await load({ ...plan, connections: 1, durationMs: 1000 });
    const one = await load({ ...plan, connections: 1 });
    const many = await load({ ...plan, connections: 16 });
    // By requests, not chunks: a token whose text is not certain yet has no chunk of its own.
    const rate = (result) => (result.requests * TOKENS) / result.seconds;
    yield { what: 'demo model, 1 stream', unit: 'tokens/s', ours: rate(one) };
    yield {
      what: 'demo model, 16 streams',
      unit: 'tokens/s',
      ours: rate(many),
      peer: rate(one),
      peerName: 'one stream',
      note: 'target: ratio ≥ 5',
    };
    yield { what: '16 streams against one', unit: '×', ours: rate(many) / rate(one), target: 5 };
  } finally {
    await server.stop();
  }
}
