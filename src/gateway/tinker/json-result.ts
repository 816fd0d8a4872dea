/** Answers in JSON, for clients that read no protobuf: SDKs before 0.18, for training before 0.20. Pure. */
import { readForwardBackwardOutput } from '../../protocol/tinker/read-forward-backward-output.js';
import { readSampleResponse } from '../../protocol/tinker/read-sample-response.js';
import { NO_LOGPROB, type SampledSequence, type TopkLogprobs } from '../../protocol/tinker/sample-response.js';

/** @param of whether `bytes` are a ForwardBackwardOutput or a SampleResponse. What JSON has no number for becomes null. */
export function jsonResult(of: 'run' | 'sampler', bytes: Uint8Array): object {
  return of === 'run' ? outputOf(bytes) : sampleOf(bytes);
}

function outputOf(bytes: Uint8Array): object {
  const { datums, metrics } = readForwardBackwardOutput(bytes);
  const outputs = datums.map((datum) =>
    Object.fromEntries(
      [...datum].map(([name, { data, shape }]) => [name, { data: [...data], dtype: 'float32', shape }]),
    ),
  );
  return { loss_fn_output_type: 'ArrayRecord', loss_fn_outputs: outputs, metrics: Object.fromEntries(metrics) };
}

function sampleOf(bytes: Uint8Array): object {
  const { cachedTokens, promptLogprobs, sequences, topkPrompt } = readSampleResponse(bytes);
  return {
    type: 'sample',
    sequences: sequences.map(sequenceOf),
    prompt_logprobs: promptLogprobs === null ? null : [...promptLogprobs],
    topk_prompt_logprobs: topkPrompt === null ? null : rowsOf(topkPrompt),
    prompt_cache_hit_tokens: cachedTokens,
  };
}

function sequenceOf({ logprobs, stopReason, tokens, topk }: SampledSequence): object {
  return {
    stop_reason: stopReason,
    tokens: [...tokens],
    logprobs: [...logprobs],
    ...(topk === null ? {} : { topk_logprobs: rowsOf(topk) }),
  };
}

/** Of each position, pairs of token id and log-probability; null where there are none. */
function rowsOf({ k, logprobs, rows, tokenIds }: TopkLogprobs): ([id: number, logprob: number][] | null)[] {
  return Array.from({ length: rows }, (_, row) => {
    const pairs: [number, number][] = [];
    for (let at = row * k; at < (row + 1) * k; at += 1) {
      const logprob = logprobs[at] ?? NO_LOGPROB;
      if (logprob !== NO_LOGPROB) pairs.push([tokenIds[at] ?? 0, logprob]);
    }
    return pairs.length === 0 ? null : pairs;
  });
}
