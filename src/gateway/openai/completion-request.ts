/** The request of `/v1/completions`: its schema, and what it asks of the engine. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { GenerateParams, Prompt, SamplingDefaults } from '../../protocol/values.js';
import { MAX_LOGPROBS, optional, refusedFields, SAMPLING_FIELDS, TokenId } from './fields.js';
import { textPrompt, tokenPrompt } from './prompts.js';
import { REFUSED_IN_COMPLETIONS, refuseUnsupported } from './refused.js';
import { checkShared, samplingOf } from './sampling.js';

const TokenIds = Type.Array(TokenId, { minItems: 1 });

export const CompletionRequest = Type.Object(
  {
    ...SAMPLING_FIELDS,
    prompt: Type.Union(
      [Type.String(), Type.Array(Type.String(), { minItems: 1 }), TokenIds, Type.Array(TokenIds, { minItems: 1 })],
      { title: 'a string, a list of strings, a list of token ids or a list of such lists, none of them empty' },
    ),
    best_of: optional(Type.Integer({ minimum: 1, description: 'Only the value of `n`.' })),
    echo: optional(Type.Boolean()),
    logprobs: optional(
      Type.Integer({
        minimum: 0,
        maximum: MAX_LOGPROBS,
        description: 'Alternatives per token, beside the chosen one.',
      }),
    ),
    ...refusedFields(Object.keys(REFUSED_IN_COMPLETIONS) as (keyof typeof REFUSED_IN_COMPLETIONS)[]),
  },
  { additionalProperties: false },
);
export type CompletionRequest = Static<typeof CompletionRequest>;

/** OpenAI's default of `max_tokens`; vLLM lets no model's own take its place here. */
const DEFAULT_MAX_TOKENS = 16;

/** What a completion request means. */
export interface CompletionPlan {
  /** One per prompt. */
  readonly generations: readonly GenerateParams[];
  readonly n: number;
  readonly echo: boolean;
  /** Alternatives per token to show; null: no logprobs. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
  /** `echo` with `max_tokens: 0`: the prompt is scored and nothing is generated for the client. */
  readonly promptOnly: boolean;
}

function promptsOf({ prompt, add_special_tokens }: CompletionRequest): Prompt[] {
  const special = add_special_tokens ?? true;
  if (typeof prompt === 'string') return [textPrompt(prompt, special)];
  if (typeof prompt[0] === 'number') return [tokenPrompt(prompt as number[])];
  return (prompt as (string | number[])[]).map((one) =>
    typeof one === 'string' ? textPrompt(one, special) : tokenPrompt(one),
  );
}

/**
 * Throws `UNSUPPORTED_PARAMETER` and `INVALID_REQUEST`.
 * @param defaults of the model
 */
export function planCompletion(body: CompletionRequest, requestId: string, defaults: SamplingDefaults): CompletionPlan {
  refuseUnsupported(body, REFUSED_IN_COMPLETIONS);
  checkShared(body);
  const n = body.n ?? 1;
  if (body.best_of !== undefined && body.best_of !== null && body.best_of !== n) {
    throw new TwinkleError('UNSUPPORTED_PARAMETER', `Expected \`best_of\` to be equal to \`n\` (${n}): leave it out.`, {
      param: 'best_of',
    });
  }
  const echo = body.echo ?? false;
  const logprobs = body.logprobs ?? null;
  const maxTokens = body.max_tokens ?? DEFAULT_MAX_TOKENS;
  const promptOnly = echo && maxTokens === 0;
  // An engine generates at least one token; the answer leaves it out.
  const limit = promptOnly ? 1 : maxTokens;
  const scored = body.prompt_logprobs ?? (echo ? logprobs : null);
  const sampling = samplingOf(body, { maxTokens: limit, logprobs, promptLogprobs: scored }, defaults);
  const prompts = promptsOf(body);
  const wantsPrompt =
    echo || (body.return_token_ids ?? false) || (body.stream_options?.continuous_usage_stats ?? false);
  const generations = prompts.map((prompt, index) => ({
    request_id: prompts.length === 1 ? requestId : `${requestId}-${index}`,
    prompt,
    sampling,
    n,
    echo: wantsPrompt,
  }));
  return { generations, n, echo, logprobs, promptLogprobs: body.prompt_logprobs ?? null, promptOnly };
}
