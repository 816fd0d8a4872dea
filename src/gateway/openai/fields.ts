/** Request fields that completions and chat completions share, as schemas: OpenAI's and vLLM's names and ranges. */
import { type Static, type TOptional, type TSchema, type TUnknown, Type } from '../../protocol/type.js';

/** A field that may be left out or be null. */
export const optional = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));

/** Sizes and ids: what fits 31 bits everywhere. */
const MAX_INT = 2 ** 31 - 1;

export const TokenId = Type.Integer({ minimum: 0, maximum: MAX_INT });
const Flag = Type.Boolean();
const Text = Type.String();
const Count = (minimum: number) => Type.Integer({ minimum, maximum: MAX_INT });
const described = (description: string) => ({ description });

/** Most choices of one prompt. */
const MAX_CHOICES = 128;
/** vLLM's default of `--max-logprobs`. */
export const MAX_LOGPROBS = 20;

const StreamOptions = Type.Object(
  {
    include_usage: optional(Flag),
    continuous_usage_stats: optional(Flag),
    include_obfuscation: Type.Optional(Type.Unknown()),
  },
  { additionalProperties: false },
);

export const SAMPLING_FIELDS = {
  model: Type.Optional(
    Type.Union([Text, Type.Null()], described('Name of a served model; may be left out when only one is served.')),
  ),
  n: optional(Type.Integer({ minimum: 1, maximum: MAX_CHOICES, description: 'Choices of each prompt; default 1.' })),
  temperature: optional(Type.Number({ minimum: 0, maximum: 2, description: '0 is greedy; default 1.' })),
  top_p: optional(Type.Number({ exclusiveMinimum: 0, maximum: 1 })),
  top_k: optional(Type.Integer({ minimum: -1, maximum: MAX_INT, description: '0 and -1 mean all.' })),
  min_p: optional(Type.Number({ minimum: 0, maximum: 1 })),
  seed: optional(Type.Integer({ minimum: Number.MIN_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER })),
  presence_penalty: optional(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: optional(Type.Number({ minimum: -2, maximum: 2 })),
  repetition_penalty: optional(Type.Number({ exclusiveMinimum: 0, maximum: 100, description: '1 is none.' })),
  logit_bias: optional(
    Type.Record(Text, Type.Number({ minimum: -100, maximum: 100 }), described('Token id → bias of its logit.')),
  ),
  stop: optional(
    Type.Union(
      [Type.String({ minLength: 1 }), Type.Array(Type.String({ minLength: 1 }))],
      described('Texts that end a choice; not part of it.'),
    ),
  ),
  stop_token_ids: optional(Type.Array(TokenId)),
  include_stop_str_in_output: optional(Flag),
  ignore_eos: optional(Flag),
  min_tokens: optional(Count(0)),
  max_tokens: optional(Count(0)),
  skip_special_tokens: optional(Flag),
  prompt_logprobs: optional(Type.Integer({ minimum: 0, maximum: MAX_LOGPROBS })),
  stream: optional(Flag),
  stream_options: optional(StreamOptions),
  return_token_ids: optional(Flag),
  add_special_tokens: optional(Flag),
  user: optional(Text),
  metadata: optional(Type.Record(Text, Type.Unknown())),
  safety_identifier: optional(Text),
  prompt_cache_key: optional(Text),
  prompt_cache_retention: optional(Text),
} as const;

const SharedRequest = Type.Object(SAMPLING_FIELDS);
/** The shared part of both requests. */
export type SharedRequest = Static<typeof SharedRequest>;

/** Schemas for fields that are known but refused, save for values that ask for nothing. */
export function refusedFields<K extends string>(names: readonly K[]): Record<K, TOptional<TUnknown>> {
  return Object.fromEntries(
    names.map((name) => [name, Type.Optional(Type.Unknown({ description: 'Not supported by this server.' }))]),
  ) as Record<K, TOptional<TUnknown>>;
}
