/** A gateway before an engine with routes of its own, for tests that play its server. */
import { TwinkleError } from '../../../src/errors.js';
import { CARD, FakeInference, type FakeRelay, servedModel } from './fake-inference.js';
import { gateway } from './harness.js';

export const CHAT = '/v1/chat/completions';
const ROUTES = [
  CHAT,
  '/v1/completions',
  '/v1/responses',
  '/v1/responses/{response_id}',
  '/v1/messages',
  '/v1/embeddings',
];
export const JSON_TYPE = { 'content-type': 'application/json' };
export const DEAD = new TwinkleError('RANK_FAILED', 'rank 0 was ended by SIGKILL');

/** One model whose engine has routes of its own. */
export function engines(more: object = {}): FakeInference {
  const inference = new FakeInference();
  inference.served = [servedModel({ card: { ...CARD, engine: 'vllm', routes: ROUTES, ...more } })];
  return inference;
}

/** One request, answered by `play`. */
export async function ask(
  request: { url: string; method?: 'GET' | 'POST' | 'HEAD'; payload?: string; headers?: Record<string, string> },
  play: (relay: FakeRelay) => void = (relay) => relay.answer(200, { ok: true }),
) {
  const inference = engines();
  const { app } = await gateway({ inference });
  const pending = app.inject({ method: 'POST', ...request, headers: { ...JSON_TYPE, ...request.headers } });
  const relay = await inference.relayed();
  play(relay);
  return { answer: await pending, relay };
}
