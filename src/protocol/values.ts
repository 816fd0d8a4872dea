/**
 * Values that travel inside frames: sampling, prompts, tokens, tensors, model cards.
 * TypeBox objects: TypeScript types come by `Static`, Python structs by `generate.ts`.
 * Rule: `T | null` where the sender always says something, `Optional` only on hot structs, where absence saves bytes.
 */
import { type Static, type TSchema, Type } from './type.js';

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const Int = Type.Integer();
const Str = Type.String();

export const SamplingParams = Type.Object(
  {
    max_tokens: Nullable(Type.Integer({ description: 'new tokens at most; null: to the end of the context' })),
    min_tokens: Type.Integer({ description: 'no stop before so many tokens' }),
    temperature: Type.Number({ description: '0 is greedy' }),
    top_p: Type.Number({ description: 'nucleus mass in (0, 1]' }),
    top_k: Type.Integer({ description: '0 means all' }),
    min_p: Type.Number({ description: 'relative to the most likely token, in [0, 1]' }),
    seed: Nullable(Int),
    stop: Type.Array(Str, { description: 'stop strings; the text ends before the first that appears' }),
    stop_token_ids: Type.Array(Int),
    include_stop_str_in_output: Type.Boolean(),
    ignore_eos: Type.Boolean(),
    skip_special_tokens: Type.Boolean(),
    presence_penalty: Type.Number({ description: 'OpenAI, in [-2, 2]' }),
    frequency_penalty: Type.Number({ description: 'OpenAI, in [-2, 2]' }),
    repetition_penalty: Type.Number({ description: 'CTRL, > 0; 1 is none' }),
    logit_bias: Type.Array(Type.Tuple([Int, Type.Number()]), { description: '(token id, bias added to its logit)' }),
    logprobs: Nullable(
      Type.Integer({ description: 'alternatives per generated token; 0: only the chosen one; null: none' }),
    ),
    prompt_logprobs: Nullable(Type.Integer({ description: 'alternatives per prompt token; null: none' })),
    default_max_tokens: Type.Optional(
      Type.Integer({ description: 'where max_tokens is null: new tokens at most, fewer where the context ends' }),
    ),
  },
  {
    $id: 'SamplingParams',
    description: 'How tokens are chosen and when a choice ends. Complete: the gateway fills defaults in.',
  },
);
export type SamplingParams = Static<typeof SamplingParams>;

export const Prompt = Type.Object(
  {
    text: Nullable(Str),
    token_ids: Nullable(Type.Array(Int)),
    messages: Nullable(
      Type.Array(Type.Unknown(), { description: 'OpenAI chat messages, rendered by the model’s chat template' }),
    ),
    tools: Nullable(Type.Array(Type.Unknown())),
    chat_template: Nullable(Str),
    chat_template_kwargs: Type.Record(Str, Type.Unknown()),
    add_generation_prompt: Type.Boolean(),
    continue_final_message: Type.Boolean(),
    add_special_tokens: Type.Boolean(),
  },
  { $id: 'Prompt', description: 'Exactly one of text, token_ids and messages is set.' },
);
export type Prompt = Static<typeof Prompt>;

export const GenerateParams = Type.Object(
  {
    request_id: Str,
    prompt: Prompt,
    sampling: SamplingParams,
    n: Type.Integer({ description: 'choices of the same prompt' }),
    echo: Type.Boolean({ description: 'send the prompt’s text and token ids on the first item' }),
    adapter: Type.Optional(Type.String({ description: 'name of a loaded LoRA adapter; absent: the base model' })),
  },
  { $id: 'GenerateParams', description: 'Parameters of the stream method `generate`.' },
);
export type GenerateParams = Static<typeof GenerateParams>;

export const TokenLogprob = Type.Object(
  {
    token_id: Int,
    token: Type.String({ description: 'text of the token; bytes that are no UTF-8 become U+FFFD' }),
    bytes: Type.Array(Int, { description: 'UTF-8 bytes of the token' }),
    logprob: Nullable(Type.Number({ description: 'natural logarithm; null for the first prompt token' })),
    top: Type.Array(Type.Tuple([Int, Str, Type.Array(Int), Type.Number()]), {
      description: 'alternatives, best first: (token id, text, bytes, logprob)',
    }),
  },
  { $id: 'TokenLogprob' },
);
export type TokenLogprob = Static<typeof TokenLogprob>;

export const PromptInfo = Type.Object(
  {
    token_ids: Type.Array(Int),
    text: Str,
    logprobs: Nullable(Type.Array(Type.Ref('TokenLogprob'))),
  },
  { $id: 'PromptInfo', description: 'The prompt as the model saw it; sent when echo or prompt_logprobs asks.' },
);
export interface PromptInfo {
  token_ids: number[];
  text: string;
  logprobs: TokenLogprob[] | null;
}

export const TokenDelta = Type.Object(
  {
    choice: Type.Integer({ description: 'index of the choice, 0 to n − 1' }),
    text: Type.String({ description: 'text that became certain in this step; may be empty' }),
    token_ids: Type.Array(Int, { description: 'tokens of this step' }),
    logprobs: Type.Optional(Type.Array(Type.Ref('TokenLogprob'), { description: 'one per token id' })),
    finish: Type.Optional(Type.String({ description: 'stop | length | abort: the last item of this choice' })),
    stop_reason: Type.Optional(Type.Union([Str, Int], { description: 'the stop string or token id that matched' })),
    prompt: Type.Optional(Type.Ref('PromptInfo')),
  },
  { $id: 'TokenDelta', description: 'One item of the stream `generate`: what a choice gained in one engine step.' },
);
export interface TokenDelta {
  choice: number;
  text: string;
  token_ids: number[];
  logprobs?: TokenLogprob[];
  finish?: string;
  stop_reason?: string | number;
  prompt?: PromptInfo;
}

export const GenerateEnd = Type.Object(
  {
    prompt_tokens: Int,
    completion_tokens: Type.Integer({ description: 'over all choices' }),
    cached_tokens: Type.Integer({ description: 'prompt tokens found in a prefix cache' }),
  },
  { $id: 'GenerateEnd', description: 'Value that ends the stream `generate`.' },
);
export type GenerateEnd = Static<typeof GenerateEnd>;

export const HttpParams = Type.Object(
  {
    request_id: Str,
    method: Str,
    path: Type.String({ description: 'as the engine’s own server knows it, without the query' }),
    query: Type.String({ description: 'without the question mark' }),
    headers: Type.Array(Type.Tuple([Str, Str]), { description: 'lower case names; nothing that opens this server' }),
    body: Type.String({ description: 'JSON text, or empty' }),
  },
  { $id: 'HttpParams', description: 'Parameters of the stream method `http`: a request for the engine’s own routes.' },
);
export type HttpParams = Static<typeof HttpParams>;

export const HttpPart = Type.Object(
  {
    status: Type.Optional(Type.Integer({ description: 'on the first part' })),
    headers: Type.Optional(Type.Array(Type.Tuple([Str, Str]), { description: 'on the first part' })),
    body: Type.Unknown({ description: 'bytes: the next ones of the answer; may be empty' }),
  },
  { $id: 'HttpPart', description: 'One item of the stream `http`. The end of the stream is the end of the answer.' },
);
export interface HttpPart {
  status?: number;
  headers?: [string, string][];
  body: Uint8Array;
}

export const TokenizeParams = Type.Object(
  { prompt: Prompt, with_tokens: Type.Boolean({ description: 'also the text of each token' }) },
  { $id: 'TokenizeParams' },
);
export type TokenizeParams = Static<typeof TokenizeParams>;

export const TokenizeResult = Type.Object(
  { token_ids: Type.Array(Int), tokens: Nullable(Type.Array(Str)), max_model_len: Int },
  { $id: 'TokenizeResult' },
);
export type TokenizeResult = Static<typeof TokenizeResult>;

export const DetokenizeParams = Type.Object({ token_ids: Type.Array(Int) }, { $id: 'DetokenizeParams' });
export type DetokenizeParams = Static<typeof DetokenizeParams>;
export const DetokenizeResult = Type.Object({ text: Str }, { $id: 'DetokenizeResult' });
export type DetokenizeResult = Static<typeof DetokenizeResult>;

export const TensorHandle = Type.Object(
  {
    segment: Type.String({ description: 'name of the shared segment' }),
    offset: Type.Integer({ description: 'bytes from its start' }),
    dtype: Type.String({ description: 'numpy name: float32, int64, uint8, …; bfloat16 as such' }),
    shape: Type.Array(Int),
  },
  { $id: 'TensorHandle', description: 'A tensor in a shared segment: C order, no copy travels.' },
);
export type TensorHandle = Static<typeof TensorHandle>;

export const SegmentParams = Type.Object(
  { segment: Str, size: Type.Integer({ description: 'bytes' }) },
  { $id: 'SegmentParams', description: 'A segment whose descriptor was passed over the rank’s descriptor socket.' },
);
export type SegmentParams = Static<typeof SegmentParams>;

export const TensorParams = Type.Object({ tensor: TensorHandle }, { $id: 'TensorParams' });
export type TensorParams = Static<typeof TensorParams>;
export const TensorSummary = Type.Object(
  { bytes: Int, first: Type.Number(), last: Type.Number(), dtype: Str, shape: Type.Array(Int) },
  { $id: 'TensorSummary', description: 'What a rank sees of a tensor: proof that the pages arrived.' },
);
export type TensorSummary = Static<typeof TensorSummary>;

export const SamplingDefaults = Type.Object(
  {
    temperature: Type.Number(),
    top_p: Type.Number(),
    top_k: Type.Integer({ description: '0 means all' }),
    min_p: Type.Number(),
    repetition_penalty: Type.Number(),
    presence_penalty: Type.Number(),
    frequency_penalty: Type.Number(),
    max_tokens: Nullable(
      Type.Integer({ description: 'of a chat completion that names none; null: to the end of the context' }),
    ),
    max_tokens_limit: Nullable(Type.Integer({ description: 'whatever a request names; null: none' })),
  },
  { $id: 'SamplingDefaults', description: 'What a model wants where a request says nothing (generation_config.json).' },
);
export type SamplingDefaults = Static<typeof SamplingDefaults>;

export const ModelCard = Type.Object(
  {
    engine: Str,
    model: Type.String({ description: 'folder or hub id that was loaded' }),
    max_model_len: Type.Integer({ description: 'tokens, prompt and answer together' }),
    max_num_seqs: Type.Integer({ description: 'choices that advance in one step' }),
    vocab_size: Int,
    dtype: Str,
    device: Str,
    parameters: Type.Integer({ description: 'weights of the model; 0 for the mock engine' }),
    chat_template: Type.Boolean({ description: 'whether chat completions can be rendered' }),
    routes: Type.Array(Str, {
      description: 'paths that the engine answers itself through the stream `http`, e.g. /v1/responses; empty: none',
    }),
    relay_chat: Type.Boolean({
      description:
        'whether every chat completion is for the engine’s own server, because it parses what the model says, or was so told',
    }),
    relay_completions: Type.Boolean({ description: 'the same of completions' }),
    sampling_defaults: SamplingDefaults,
    system_fingerprint: Nullable(Str),
    adapters: Type.Boolean({ description: 'whether LoRA adapters can be loaded' }),
  },
  { $id: 'ModelCard', description: 'What a loaded engine says of itself.' },
);
export type ModelCard = Static<typeof ModelCard>;

export const LoadParams = Type.Object(
  {
    model: Str,
    options: Type.Record(Str, Type.Unknown(), {
      description: 'engine arguments by their own names, checked by the engine',
    }),
  },
  { $id: 'LoadParams' },
);
export type LoadParams = Static<typeof LoadParams>;

export const EngineStats = Type.Object(
  {
    running: Type.Integer({ description: 'choices that advance in each step' }),
    waiting: Type.Integer({ description: 'requests not yet started' }),
    kv_usage: Type.Number({ description: 'part of the KV cache in use, 0 to 1' }),
    steps: Type.Integer({ description: 'engine steps since start' }),
    prompt_tokens: Type.Integer({ description: 'since start' }),
    generation_tokens: Type.Integer({ description: 'since start' }),
  },
  { $id: 'EngineStats', description: 'Counters of an engine; cumulative ones never go back within an epoch.' },
);
export type EngineStats = Static<typeof EngineStats>;
