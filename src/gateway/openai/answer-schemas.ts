/** Shapes of the answers, for the reference at `/openapi.json`. Answers are not filtered by them. */
import { type TProperties, type TSchema, Type } from '../../protocol/type.js';

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Int = Type.Integer();
const Str = Type.String();

const Usage = Type.Object({
  prompt_tokens: Int,
  completion_tokens: Int,
  total_tokens: Int,
  prompt_tokens_details: Type.Object({ cached_tokens: Int }),
});

const choice = <T extends TProperties>(fields: T) =>
  Type.Object({
    index: Int,
    ...fields,
    logprobs: Nullable(Type.Object({}, { additionalProperties: true })),
    finish_reason: Nullable(Type.String({ description: 'stop | length | abort' })),
    stop_reason: Nullable(Type.Union([Str, Int])),
  });

export const CompletionAnswer = Type.Object({
  id: Str,
  object: Type.Literal('text_completion'),
  created: Int,
  model: Str,
  choices: Type.Array(choice({ text: Str })),
  usage: Usage,
  system_fingerprint: Type.Optional(Str),
});

export const ChatAnswer = Type.Object({
  id: Str,
  object: Type.Literal('chat.completion'),
  created: Int,
  model: Str,
  choices: Type.Array(
    choice({ message: Type.Object({ role: Type.Literal('assistant'), content: Str, refusal: Type.Null() }) }),
  ),
  usage: Usage,
  system_fingerprint: Type.Optional(Str),
});

export const Model = Type.Object({
  id: Str,
  object: Type.Literal('model'),
  created: Int,
  owned_by: Str,
  root: Nullable(Str),
  parent: Nullable(Str),
  max_model_len: Nullable(Int),
});

export const ModelList = Type.Object({ object: Type.Literal('list'), data: Type.Array(Model) });

export const TokenizeAnswer = Type.Object({
  count: Int,
  max_model_len: Int,
  tokens: Type.Array(Int),
  token_strs: Nullable(Type.Array(Str)),
});

export const DetokenizeAnswer = Type.Object({ prompt: Str });
