/**
 * A process that asks as the Tinker SDK 0.16.1 does, without its cost: one run (or sampling session), `concurrent` requests under way, each asked
 * for and then waited for. Submissions to a run take turns, as the SDK's do. Plan on the command line; sends `{ perSecond, p50Ms, p99Ms, answers }`:
 * the middle round of so many, and quantiles of all.
 */
import { quantile } from '../load.mjs';
import { MODEL } from './config.mjs';
import { JsonConnection } from './json-http.mjs';

const TOKENS = 16;
const VOCABULARY = 500;
const { port, kind, concurrent, rounds, durationMs, atLeast } = JSON.parse(process.argv[2]);
const control = new JsonConnection(port);
const ids = Array.from({ length: TOKENS + 1 }, (_, at) => 1 + ((at * 7) % (VOCABULARY - 1)));
const input = { chunks: [{ tokens: ids.slice(0, -1), type: 'encoded_text' }] };
const tensor = (data, dtype) => ({ data, dtype, shape: [TOKENS] });
const data = [
  {
    model_input: input,
    loss_fn_inputs: {
      target_tokens: tensor(ids.slice(1), 'int64'),
      weights: tensor(Array(TOKENS).fill(1), 'float32'),
    },
  },
];

async function run(session_id) {
  const lora_config = { rank: 8, seed: 1, train_unembed: true, train_mlp: true, train_attn: true };
  const asked = { session_id, model_seq_id: 0, base_model: MODEL, lora_config, type: 'create_model' };
  const { request_id } = await control.post('create_model', asked);
  const { model_id } = await control.answered(request_id);
  const forward_backward_input = { data, loss_fn: 'cross_entropy', loss_fn_config: null };
  let turn = Promise.resolve();
  return {
    ask(connection, seq_id) {
      turn = turn.then(() => connection.post('forward_backward', { forward_backward_input, model_id, seq_id }));
      return turn;
    },
  };
}

async function sampling(session_id) {
  const asked = { session_id, sampling_session_seq_id: 0, base_model: MODEL, type: 'create_sampling_session' };
  const { sampling_session_id } = await control.post('create_sampling_session', asked);
  const sampling_params = { max_tokens: TOKENS, temperature: 1, seed: 1, stop: [] };
  const fixed = { num_samples: 1, prompt: input, sampling_params, sampling_session_id, type: 'sample' };
  return { ask: (connection, seq_id) => connection.post('asample', { ...fixed, seq_id }) };
}

/** It is an answer. How much it says is each mock's own: the peer's has one log probability for a datum of any length. */
function check(answer) {
  const found = kind === 'asample' ? answer.sequences[0].tokens : answer.loss_fn_outputs[0].logprobs.data;
  if (found.length === 0) throw new Error(`no answer: ${JSON.stringify(answer)}`);
}

const begin = kind === 'asample' ? sampling : run;
const { session_id } = await control.post('create_session', {
  tags: [],
  user_metadata: null,
  sdk_version: '0.16.1',
  type: 'create_session',
});
const target = await begin(session_id);
const connections = Array.from({ length: concurrent }, () => new JsonConnection(port));
let asked = 0;
let first = null;
const times = [];

/** Asks until the time is over and there are so many answers. */
async function round(ms, answers) {
  const begun = performance.now();
  const until = begun + ms;
  let done = 0;
  const one = async (connection) => {
    while (performance.now() < until || done < answers) {
      const sent = performance.now();
      const { request_id } = await target.ask(connection, ++asked);
      first ??= request_id;
      check(await connection.answered(request_id));
      times.push(performance.now() - sent);
      done += 1;
    }
  };
  await Promise.all(connections.map(one));
  return (done / (performance.now() - begun)) * 1000;
}

await round(0, concurrent * 2); // warm
times.length = 0;
const rates = [];
for (let at = 0; at < rounds; at++) rates.push(await round(durationMs, atLeast));
check(await control.answered(first)); // still kept
process.send({
  perSecond: quantile(rates, 0.5),
  p50Ms: quantile(times, 0.5),
  p99Ms: quantile(times, 0.99),
  answers: times.length,
});
for (const connection of [control, ...connections]) connection.close();
process.disconnect();
