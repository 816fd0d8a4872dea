/** Request fields → complete `SamplingParams`, with what the model wants where a request says nothing. */
import { TwinkleError } from '../../errors.js';
import type { SamplingDefaults, SamplingParams } from '../../protocol/values.js';
import type { SharedRequest } from './fields.js';

/** What each kind of request decides for itself. */
interface SamplingChoice {
  /** Null: as many as the model's default, or to the end of the context. */
  readonly maxTokens: number | null;
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
}

const invalid = (param: string, message: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/** Rules that span several fields. Throws `INVALID_REQUEST`. */
export function checkShared(body: SharedRequest): void {
  const streamed = body.stream ?? false;
  const { stream_options: options, prompt_logprobs: promptLogprobs } = body;
  if (!streamed && options !== undefined && options !== null) {
    throw invalid('stream_options', '`stream_options` says how to stream: set `stream` to true, or leave it out.');
  }
  if (options?.include_obfuscation !== undefined && ![null, false].includes(options.include_obfuscation as null)) {
    throw new TwinkleError('UNSUPPORTED_PARAMETER', 'Streams are not padded by this server: leave it out or false.', {
      param: 'stream_options.include_obfuscation',
    });
  }
  if (streamed && promptLogprobs !== undefined && promptLogprobs !== null) {
    throw invalid('prompt_logprobs', '`prompt_logprobs` are not part of a stream: set `stream` to false.');
  }
}

const TOKEN_ID = /^\d{1,10}$/;

function logitBias(bias: Readonly<Record<string, number>>): [number, number][] {
  return Object.entries(bias).map(([id, value]) => {
    const token = TOKEN_ID.test(id) ? Number(id) : Number.NaN;
    if (!(token < 2 ** 31)) {
      const shown = JSON.stringify(id.slice(0, 40));
      throw invalid('logit_bias', `Expected token ids as the keys of \`logit_bias\` but received ${shown}.`);
    }
    return [token, value];
  });
}

/** The smaller of two limits; null is none. */
function smaller(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

/** Throws `INVALID_REQUEST` for values that contradict each other. */
export function samplingOf(body: SharedRequest, choice: SamplingChoice, defaults: SamplingDefaults): SamplingParams {
  const asked = choice.maxTokens;
  const minTokens = body.min_tokens ?? 0;
  if (asked === 0) {
    throw invalid('max_tokens', 'Expected an integer of 1 or more for `max_tokens` but received 0.');
  }
  const limit = smaller(asked ?? defaults.max_tokens, defaults.max_tokens_limit);
  if (limit !== null && minTokens > limit) {
    throw invalid('min_tokens', `Expected \`min_tokens\` (${minTokens}) to be at most the limit of ${limit} tokens.`);
  }
  const { stop } = body;
  return {
    max_tokens: asked === null ? null : limit,
    min_tokens: minTokens,
    temperature: body.temperature ?? defaults.temperature,
    top_p: body.top_p ?? defaults.top_p,
    top_k: Math.max(0, body.top_k ?? defaults.top_k),
    min_p: body.min_p ?? defaults.min_p,
    seed: body.seed ?? null,
    stop: stop === undefined || stop === null ? [] : typeof stop === 'string' ? [stop] : stop,
    stop_token_ids: body.stop_token_ids ?? [],
    include_stop_str_in_output: body.include_stop_str_in_output ?? false,
    ignore_eos: body.ignore_eos ?? false,
    skip_special_tokens: body.skip_special_tokens ?? true,
    presence_penalty: body.presence_penalty ?? defaults.presence_penalty,
    frequency_penalty: body.frequency_penalty ?? defaults.frequency_penalty,
    repetition_penalty: body.repetition_penalty ?? defaults.repetition_penalty,
    logit_bias: logitBias(body.logit_bias ?? {}),
    logprobs: choice.logprobs,
    prompt_logprobs: choice.promptLogprobs,
    ...(asked !== null || limit === null ? {} : { default_max_tokens: limit }),
  };
}
