/** `/tokenize` and `/detokenize`, with vLLM's requests and answers. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import type { Prompt } from '../../protocol/values.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import { DetokenizeAnswer, TokenizeAnswer } from './answer-schemas.js';
import { optional, TokenId } from './fields.js';
import { CHAT_PROMPT_FIELDS, checkContinuation, templateMessages } from './messages.js';
import { chatPrompt, textPrompt } from './prompts.js';

const TokenizeRequest = Type.Object(
  {
    model: optional(Type.String()),
    prompt: Type.Optional(Type.String({ description: 'Text; or give `messages`.' })),
    ...CHAT_PROMPT_FIELDS,
    messages: Type.Optional(CHAT_PROMPT_FIELDS.messages),
    add_special_tokens: optional(Type.Boolean({ description: 'Default: true for text, false for messages.' })),
    return_token_strs: optional(Type.Boolean()),
  },
  { additionalProperties: false },
);
type TokenizeRequest = Static<typeof TokenizeRequest>;

const DetokenizeRequest = Type.Object(
  { model: optional(Type.String()), tokens: Type.Array(TokenId) },
  { additionalProperties: false },
);
type DetokenizeRequest = Static<typeof DetokenizeRequest>;

function promptOf(body: TokenizeRequest): Prompt {
  const { messages, prompt } = body;
  if ((prompt === undefined) === (messages === undefined)) {
    const given = prompt === undefined ? 'neither' : 'both';
    throw new TwinkleError('INVALID_REQUEST', `Expected either \`prompt\` or \`messages\` but received ${given}.`, {
      param: 'prompt',
    });
  }
  if (prompt !== undefined) return textPrompt(prompt, body.add_special_tokens ?? true);
  checkContinuation(body);
  return chatPrompt(templateMessages(messages ?? []), body);
}

/** Both routes. */
export function tokenizeRoutes({ inference }: GatewayContext): RouteSpec[] {
  const shared = { methods: ['POST'], access: 'keyed', tag: 'tokenizer' } as const;
  return [
    {
      ...shared,
      url: '/tokenize',
      summary: 'Token ids of a text or of a conversation.',
      body: TokenizeRequest,
      response: TokenizeAnswer,
      async handler(request) {
        const body = request.body as TokenizeRequest;
        const prompt = promptOf(body);
        const result = await inference.tokenize(body.model ?? null, {
          prompt,
          with_tokens: body.return_token_strs ?? false,
        });
        return {
          count: result.token_ids.length,
          max_model_len: result.max_model_len,
          tokens: result.token_ids,
          token_strs: result.tokens,
        };
      },
    },
    {
      ...shared,
      url: '/detokenize',
      summary: 'Text of token ids.',
      body: DetokenizeRequest,
      response: DetokenizeAnswer,
      async handler(request) {
        const { model, tokens } = request.body as DetokenizeRequest;
        const { text } = await inference.detokenize(model ?? null, { token_ids: tokens });
        return { prompt: text };
      },
    },
  ];
}
