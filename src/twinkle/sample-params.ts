/** `sampling_params` of a request → what engines are told. Pure. */
import { DEFAULT_SAMPLING } from '../protocol/defaults.js';
import type { SamplingParams } from '../protocol/values.js';
import { type Field, type Given, maybe, number, readArguments, whole } from './arguments.js';

export interface SampleParams {
  readonly sampling: SamplingParams;
  /** Sequences of each input. */
  readonly count: number;
}

const stop: Field<readonly (string | number)[]> = {
  expected: 'text, a list of texts, or a list of token ids',
  absent: { is: [] },
  parse: (value) => {
    if (value === null) return [];
    if (typeof value === 'string') return value === '' ? [] : [value];
    if (!Array.isArray(value)) return undefined;
    const all = value as unknown[];
    if (all.every((one) => typeof one === 'string' && one !== '')) return all as string[];
    return all.every((one) => Number.isSafeInteger(one) && Number(one) >= 0) ? (all as number[]) : undefined;
  },
};

const topK: Field<number> = {
  expected: 'a whole number of at least 1, or -1 for all',
  absent: { is: -1 },
  parse: (value) =>
    Number.isSafeInteger(value) && (value === -1 || Number(value) >= 1) ? (value as number) : undefined,
};

const MOST_SEQUENCES = 1024;
const MOST_ALTERNATIVES = 1000;

const FIELDS = {
  max_tokens: maybe(whole({ min: 1 })),
  max_new_tokens: maybe(whole({ min: 1 })),
  seed: maybe(whole()),
  stop,
  temperature: number({ min: 0 }, 1),
  top_k: topK,
  top_p: number({ above: 0, max: 1 }, 1),
  repetition_penalty: number({ above: 0 }, 1),
  logprobs: maybe(whole({ min: 0, max: MOST_ALTERNATIVES })),
  prompt_logprobs: maybe(whole({ min: 0, max: MOST_ALTERNATIVES })),
  num_samples: whole({ min: 1, max: MOST_SEQUENCES }, 1),
};

/**
 * @param given null: nothing is said
 * @throws `INVALID_REQUEST`
 */
export function readSampleParams(given: Given | null): SampleParams {
  const read = readArguments('sampling_params', given ?? {}, FIELDS);
  const { max_new_tokens, max_tokens, prompt_logprobs, repetition_penalty, seed, temperature, top_k, top_p } = read;
  return {
    sampling: {
      ...DEFAULT_SAMPLING,
      max_tokens: max_tokens ?? max_new_tokens,
      ...{ temperature, top_p, seed, repetition_penalty, prompt_logprobs },
      top_k: Math.max(top_k, 0),
      stop: read.stop.filter((one) => typeof one === 'string'),
      stop_token_ids: read.stop.filter((one) => typeof one === 'number'),
      logprobs: read.logprobs,
    },
    count: read.num_samples,
  };
}
