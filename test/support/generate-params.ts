/** Parameters of a plain generation, complete. */
import type { GenerateParams, SamplingParams } from '../../src/protocol/values.js';

export function generateParams(
  text: string,
  maxTokens: number,
  sampling: Partial<SamplingParams> = {},
): GenerateParams {
  return {
    request_id: 'test',
    prompt: {
      text,
      token_ids: null,
      messages: null,
      tools: null,
      chat_template: null,
      chat_template_kwargs: {},
      add_generation_prompt: true,
      continue_final_message: false,
      add_special_tokens: true,
    },
    sampling: {
      max_tokens: maxTokens,
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
      ...sampling,
    },
    n: 1,
    echo: false,
  };
}
