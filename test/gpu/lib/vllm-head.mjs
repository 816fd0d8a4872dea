/** A server with engine vllm in this process, without HTTP: how many tokens per second reach a sink. */
import { TwinkleError } from '../../../dist/errors.js';
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../../../dist/protocol/defaults.js';
import { startEmbedded } from './embedded-head.mjs';
import { median } from './report.mjs';

const params = (at, tokens) => ({
  request_id: `bench-${at}`,
  prompt: { ...EMPTY_PROMPT, token_ids: [100 + at, 7, 8, 9, 10, 11, 12, 13] },
  sampling: { ...DEFAULT_SAMPLING, temperature: 0, max_tokens: tokens, ignore_eos: true },
  n: 1,
  echo: false,
});

/** Tokens per second of so many sequences at once, all begun together. */
async function rate(inference, sequences, tokens) {
  const begun = performance.now();
  let made = 0;
  const one = (at) =>
    new Promise((resolve, reject) => {
      const sink = {
        delta: (delta) => {
          made += delta.token_ids.length;
        },
        end: resolve,
        error: reject,
      };
      inference.generate(null, params(at, tokens), sink, { tenant: 'local' });
    });
  await Promise.all(Array.from({ length: sequences }, (_, at) => one(at)));
  if (made !== sequences * tokens)
    throw new TwinkleError('INTERNAL', `expected ${sequences * tokens} tokens, got ${made}`);
  return made / ((performance.now() - begun) / 1000);
}

/** Start, warm up, measure each level `repetitions` times, stop; of a level the median counts. */
export async function measure(model, { gpus, tensor, pipeline, tokens, levels, repetitions }) {
  const head = await startEmbedded({
    model,
    engine: 'vllm',
    gpus: gpus === 1 ? '0' : `0-${gpus - 1}`,
    tensorParallelSize: tensor,
    pipelineParallelSize: pipeline,
    maxModelLen: 1024,
    engineArgs: {
      dtype: 'bfloat16',
      max_num_seqs: Math.max(...levels),
      gpu_memory_utilization: 0.4,
      enable_prefix_caching: false,
    },
  });
  try {
    await rate(head.inference, Math.max(...levels), tokens);
    const figures = {};
    for (const level of levels) {
      const rates = [];
      for (let at = 0; at < repetitions; at++) rates.push(await rate(head.inference, level, tokens));
      figures[level] = median(rates);
    }
    return figures;
  } finally {
    await head.stop();
  }
}
