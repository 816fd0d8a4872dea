/** A Tinker client that asks for one thing after another, and hears answers as JSON. */
import { forwardBackward } from '../../../bench/lib/tinker-message.mjs';

const VOCABULARY = 3000;
export const LORA = { rank: 32, seed: 1 };
/** All parameters. */
export const FULL = { rank: 0 };

export function tinkerAt(url) {
  const ask = async (path, body, type = 'application/json') => {
    const answer = await fetch(`${url}/api/v1/${path}`, {
      method: 'POST',
      headers: { 'content-type': type, accept: 'application/json' },
      body: type === 'application/json' ? JSON.stringify(body) : body,
    });
    const text = await answer.text();
    if (answer.status !== 200)
      throw Object.assign(new Error(`${path}: ${answer.status} ${text}`), { status: answer.status });
    return JSON.parse(text);
  };
  /** What a future becomes; 408 says that it is not there yet. */
  const settled = async ({ request_id }) => {
    for (;;) {
      const answer = await ask('retrieve_future', { request_id }).catch((error) => {
        if (error.status === 408) return null;
        throw error;
      });
      if (answer === null) continue;
      if (answer.error !== undefined) throw new Error(answer.error);
      return answer;
    }
  };
  return { ask, settled, begin };

  /** A run of its own session; its methods resolve when what they ask for is done. */
  async function begin(baseModel, lora_config = LORA) {
    const { session_id } = await ask('create_session', {});
    const made = await ask('create_model', { session_id, model_seq_id: 0, base_model: baseModel, lora_config });
    await settled(made);
    return runOf(session_id, made.model_id);
  }

  function runOf(session_id, model_id) {
    let seq = 1;
    let samplers = 0;
    const call = async (path, body) => settled(await ask(path, { model_id, seq_id: seq++, ...body }));
    return {
      /** Sum of the losses. */
      async pass(datums, tokens) {
        const body = forwardBackward({ run: model_id, seqId: seq++, datums, tokens, vocabulary: VOCABULARY });
        const { metrics } = await settled(await ask('forward_backward', body, 'application/x-protobuf'));
        return metrics['loss:sum'];
      },
      step: (learning_rate) => call('optim_step', { adam_params: { learning_rate } }),
      save: async (path) => (await call('save_weights', { path })).path,
      load: (path) => call('load_weights', { path, optimizer: true }),
      /** Under a name for good: where a server can be pointed at. */
      saveExternal: async (path) => (await call('save_weights_external', { path })).path,
      /** A sampler of the weights as they are. */
      async sampler() {
        const more = { sampling_session_seq_id: samplers++, kind: 'snapshot' };
        return (await call('save_weights_for_sampler', more)).sampling_session_id;
      },
      /** Its devices' memory is given back. */
      finish: () => ask(`sessions/${session_id}/finish`, {}),
    };
  }
}

/** Tokens that a sampler makes of a prompt. */
export async function sample({ ask, settled }, sampling_session_id, max_tokens, seq_id = 1) {
  const prompt = { chunks: [{ tokens: [5, 6, 7], type: 'encoded_text' }] };
  const body = { sampling_session_id, seq_id, num_samples: 1, prompt, sampling_params: { max_tokens } };
  return (await settled(await ask('asample', body))).sequences[0].tokens;
}

/** Passes and steps; the loss of each pass. */
export async function learn(run, { steps, datums, tokens, learningRate = 1e-3 }) {
  const losses = [];
  for (let step = 0; step < steps; step++) {
    losses.push(await run.pass(datums, tokens));
    await run.step(learningRate);
  }
  return losses;
}

/** Whether each is less than the one before. */
export const falls = (losses) => losses.every((loss, at) => at === 0 || loss < losses[at - 1]);
