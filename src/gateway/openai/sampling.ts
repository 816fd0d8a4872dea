/** Request fields → complete `SamplingParams`, with the defaults of OpenAI and vLLM. */
import { TwinkleError } from '../../errors.js';
import type { SamplingParams } from '../../protocol/values.js';
import type { SharedRequest } from './fields.js';

/** What each kind of request decides for itself. */
interface SamplingChoice {
  /** Null: to the end of the context. */
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

/** Throws `INVALID_REQUEST` for values that contradict each other. */
export function samplingOf(body: SharedRequest, choice: SamplingChoice): SamplingParams {
  const { maxTokens } = choice;
  const minTokens = body.min_tokens ?? 0;
  if (maxTokens === 0) {
    throw invalid('max_tokens', 'Expected an integer of 1 or more for `max_tokens` but received 0.');
  }
  if (maxTokens !== null && minTokens > maxTokens) {
    throw invalid(
      'min_tokens',
      `Expected \`min_tokens\` (${minTokens}) to be at most the limit of ${maxTokens} tokens.`,
    );
  }
  const { stop } = body;
  return {
    max_tokens: maxTokens,
    min_tokens: minTokens,
    temperature: body.temperature ?? 1,
    top_p: body.top_p ?? 1,
    top_k: Math.max(0, body.top_k ?? 0),
    min_p: body.min_p ?? 0,
    seed: body.seed ?? null,
    stop: stop === undefined || stop === null ? [] : typeof stop === 'string' ? [stop] : stop,
    stop_token_ids: body.stop_token_ids ?? [],
    include_stop_str_in_output: body.include_stop_str_in_output ?? false,
    ignore_eos: body.ignore_eos ?? false,
    skip_special_tokens: body.skip_special_tokens ?? true,
    presence_penalty: body.presence_penalty ?? 0,
    frequency_penalty: body.frequency_penalty ?? 0,
    repetition_penalty: body.repetition_penalty ?? 1,
    logit_bias: logitBias(body.logit_bias ?? {}),
    logprobs: choice.logprobs,
    prompt_logprobs: choice.promptLogprobs,
  };
}
