/** Rounds of samples that are asked for at the same time, each of a prompt and a seed of its own. */
import { readSampleResponse } from '../../dist/protocol/tinker/read-sample-response.js';
import { quantile } from './load.mjs';

const PROMPT_TOKENS = 32;
/** That compile, and fill caches. */
const WARM_ROUNDS = 3;

/** @returns ms of a round, from the first request to the last answer: `{ p50Ms, p99Ms, maxMs }` */
export async function sampleRounds({ answered, json }, { concurrent, model, rounds, tokens, vocabulary }) {
  const { session_id } = await json('create_session', {});
  const { sampling_session_id } = await json('create_sampling_session', {
    session_id,
    sampling_session_seq_id: 0,
    base_model: model,
  });
  let asked = 0;
  const one = async () => {
    const seed = asked++;
    const prompt = Array.from({ length: PROMPT_TOKENS }, (_, at) => 1 + ((seed * 31 + at * 7) % (vocabulary - 1)));
    const { request_id } = await json('asample', {
      sampling_session_id,
      seq_id: seed,
      num_samples: 1,
      prompt: { chunks: [{ type: 'encoded_text', tokens: prompt }] },
      // An empty list: every sample has all its tokens.
      sampling_params: { max_tokens: tokens, temperature: 1, seed, stop: [] },
    });
    const [made] = readSampleResponse(await answered(request_id)).sequences;
    if (made?.tokens.length !== tokens) throw new Error(`asked for ${tokens} tokens, got ${made?.tokens.length}`);
  };
  const times = [];
  for (let round = -WARM_ROUNDS; round < rounds; round++) {
    const begun = performance.now();
    await Promise.all(Array.from({ length: concurrent }, one));
    if (round >= 0) times.push(performance.now() - begun);
  }
  await json(`sessions/${session_id}/finish`, {});
  return { p50Ms: quantile(times, 0.5), p99Ms: quantile(times, 0.99), maxMs: Math.max(...times) };
}
