/** Complete parameters that say nothing special: what callers start from. OpenAI's defaults where it has them. */
import type { Prompt, SamplingDefaults, SamplingParams } from './values.js';

export const DEFAULT_SAMPLING: SamplingParams = {
  max_tokens: null,
  min_tokens: 0,
  temperature: 1,
  top_p: 1,
  top_k: 0,
  min_p: 0,
  seed: null,
  stop: [],
  stop_token_ids: [],
  include_stop_str_in_output: false,
  ignore_eos: false,
  skip_special_tokens: true,
  presence_penalty: 0,
  frequency_penalty: 0,
  repetition_penalty: 1,
  logit_bias: [],
  logprobs: null,
  prompt_logprobs: null,
};

/** Of a model that wants nothing special. */
export const NEUTRAL_DEFAULTS: SamplingDefaults = {
  temperature: DEFAULT_SAMPLING.temperature,
  top_p: DEFAULT_SAMPLING.top_p,
  top_k: DEFAULT_SAMPLING.top_k,
  min_p: DEFAULT_SAMPLING.min_p,
  repetition_penalty: DEFAULT_SAMPLING.repetition_penalty,
  presence_penalty: DEFAULT_SAMPLING.presence_penalty,
  frequency_penalty: DEFAULT_SAMPLING.frequency_penalty,
  max_tokens: null,
  max_tokens_limit: null,
};

/** No prompt yet: set one of text, token_ids and messages. */
export const EMPTY_PROMPT: Prompt = {
  text: null,
  token_ids: null,
  messages: null,
  tools: null,
  chat_template: null,
  chat_template_kwargs: {},
  add_generation_prompt: true,
  continue_final_message: false,
  add_special_tokens: true,
};
