/** The request of `/v1/chat/completions`: its schema, and what it asks of the engine. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { GenerateParams, SamplingDefaults } from '../../protocol/values.js';
import { MAX_LOGPROBS, optional, refusedFields, SAMPLING_FIELDS } from './fields.js';
import { CHAT_PROMPT_FIELDS, checkContinuation, templateMessages } from './messages.js';
import { chatPrompt } from './prompts.js';
import { REFUSED_IN_CHAT, refuseUnsupported } from './refused.js';
import { checkShared, samplingOf } from './sampling.js';

export const ChatRequest = Type.Object(
  {
    ...SAMPLING_FIELDS,
    ...CHAT_PROMPT_FIELDS,
    max_completion_tokens: optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
    logprobs: optional(Type.Boolean()),
    top_logprobs: optional(Type.Integer({ minimum: 0, maximum: MAX_LOGPROBS })),
    parallel_tool_calls: optional(Type.Boolean()),
    ...refusedFields(Object.keys(REFUSED_IN_CHAT) as (keyof typeof REFUSED_IN_CHAT)[]),
  },
  { additionalProperties: false },
);
export type ChatRequest = Static<typeof ChatRequest>;

/** What a chat request means. */
export interface ChatPlan {
  readonly generation: GenerateParams;
  readonly n: number;
  /** Alternatives per token to show; null: no logprobs. */
  readonly logprobs: number | null;
  readonly promptLogprobs: number | null;
}

/**
 * Throws `UNSUPPORTED_PARAMETER` and `INVALID_REQUEST`.
 * @param defaults of the model
 */
export function planChat(body: ChatRequest, requestId: string, defaults: SamplingDefaults): ChatPlan {
  refuseUnsupported(body, REFUSED_IN_CHAT);
  checkShared(body);
  checkContinuation(body);
  const alternatives = body.top_logprobs ?? 0;
  if (alternatives > 0 && body.logprobs !== true) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      '`top_logprobs` needs `logprobs` to be true: set it, or leave both out.',
      {
        param: 'top_logprobs',
      },
    );
  }
  const logprobs = body.logprobs === true ? alternatives : null;
  const promptLogprobs = body.prompt_logprobs ?? null;
  const n = body.n ?? 1;
  const generation: GenerateParams = {
    request_id: requestId,
    prompt: chatPrompt(templateMessages(body.messages), body),
    sampling: samplingOf(
      body,
      { maxTokens: body.max_completion_tokens ?? body.max_tokens ?? null, logprobs, promptLogprobs },
      defaults,
    ),
    n,
    echo: (body.return_token_ids ?? false) || (body.stream_options?.continuous_usage_stats ?? false),
  };
  return { generation, n, logprobs, promptLogprobs };
}
