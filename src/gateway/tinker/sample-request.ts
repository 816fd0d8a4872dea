/** The body of `asample`, and what it means. */
import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { SampleRequest } from '../../training/types.js';
import { MAX_LOGPROBS, TokenId } from '../openai/fields.js';
import { Id, optional, Request } from './fields.js';

/** Most sequences of one prompt. */
const MAX_SEQUENCES = 128;
const MAX_INT = 2 ** 31 - 1;
const TopK = Type.Integer({ minimum: 0, maximum: MAX_LOGPROBS });

/** The SDK 0.16 leaves the type out. */
const Chunk = Type.Object({ type: optional(Type.String()), tokens: optional(Type.Array(TokenId)) });

const SamplingParams = Type.Object(
  {
    max_tokens: optional(Type.Integer({ minimum: 1, maximum: MAX_INT })),
    seed: optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
    stop: optional(
      Type.Union([Type.String(), Type.Array(Type.String()), Type.Array(TokenId)], {
        description: 'Strings or token ids; absent: where the model ends by itself; an empty list: nowhere.',
      }),
    ),
    temperature: optional(Type.Number({ minimum: 0 })),
    top_k: optional(Type.Integer({ minimum: -1, maximum: MAX_INT })),
    top_p: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
  },
  { additionalProperties: false },
);

export const AsampleBody = Request({
  sampling_session_id: Id,
  seq_id: Type.Integer({ minimum: 0, maximum: 2 ** 63 }),
  num_samples: optional(Type.Integer({ minimum: 1, maximum: MAX_SEQUENCES })),
  prompt: Type.Object({ chunks: Type.Array(Chunk) }),
  sampling_params: optional(SamplingParams),
  prompt_logprobs: optional(Type.Boolean()),
  prompt_logprobs_last_n: optional(Type.Integer({ minimum: 0, maximum: MAX_INT })),
  topk_prompt_logprobs: optional(TopK),
  topk_sample_logprobs: optional(TopK),
  target_prompt_logprobs: optional(Type.Unknown()),
  prompt_alt_tokens_k: optional(Type.Integer()),
  record_stability_info: optional(Type.Boolean()),
});
export type AsampleBody = Static<typeof AsampleBody>;

function unsupported(param: string, instead: string): TwinkleError {
  return new TwinkleError('UNSUPPORTED_PARAMETER', `\`${param}\` is not supported by this server: ${instead}`, {
    param,
  });
}

function tokensOf(chunks: AsampleBody['prompt']['chunks']): number[] {
  const tokens = chunks.flatMap(({ tokens, type }, at) => {
    if (type == null ? tokens == null : type !== 'encoded_text')
      throw unsupported(`prompt.chunks[${at}].type`, 'only encoded_text is');
    return tokens ?? [];
  });
  if (tokens.length > 0) return tokens;
  throw new TwinkleError('INVALID_REQUEST', 'expected at least one token for `prompt` but received none', {
    param: 'prompt',
  });
}

/**
 * The number of the request, exactly: a client that was pickled counts from a random multiple of 10⁹ on, beyond what JSON.parse can hold.
 * In JSON text the quoted name stands nowhere but where it is a key.
 * @throws `INVALID_REQUEST` when another object of the body has such a key
 */
function seqIdOf({ seq_id }: AsampleBody, text: string): bigint {
  if (Number.isSafeInteger(seq_id)) return BigInt(seq_id);
  const [written, another] = text.matchAll(/"seq_id"\s*:\s*(\d+)(?=\s*[,}])/g);
  if (written?.[1] !== undefined && another === undefined) return BigInt(written[1]);
  throw new TwinkleError('INVALID_REQUEST', 'expected one `seq_id`, written as an integer', { param: 'seq_id' });
}

/**
 * @param text the body as it was sent
 * @throws `UNSUPPORTED_PARAMETER`, `INVALID_REQUEST`
 */
export function sampleRequestOf(body: AsampleBody, text: string): SampleRequest {
  if (body.target_prompt_logprobs != null) throw unsupported('target_prompt_logprobs', 'ask for topk_prompt_logprobs');
  if ((body.prompt_alt_tokens_k ?? 0) !== 0) throw unsupported('prompt_alt_tokens_k', 'leave it out');
  if (body.record_stability_info === true) throw unsupported('record_stability_info', 'leave it out');
  const { max_tokens, seed, stop, temperature, top_k, top_p } = body.sampling_params ?? {};
  return {
    sampler: body.sampling_session_id,
    seqId: seqIdOf(body, text),
    prompt: tokensOf(body.prompt.chunks),
    count: body.num_samples ?? 1,
    maxTokens: max_tokens ?? null,
    seed: seed ?? null,
    stop: stop == null ? null : typeof stop === 'string' ? [stop] : stop,
    temperature: temperature ?? 1,
    topK: Math.max(0, top_k ?? 0),
    topP: top_p ?? 1,
    promptLogprobs: body.prompt_logprobs ?? false,
    promptLogprobsLast: body.prompt_logprobs_last_n ?? null,
    topkPrompt: body.topk_prompt_logprobs ?? 0,
    topkSample: body.topk_sample_logprobs ?? 0,
  };
}
