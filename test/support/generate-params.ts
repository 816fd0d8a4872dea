/** Parameters of a plain generation, complete. */
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../../src/protocol/defaults.js';
import type { GenerateParams, SamplingParams } from '../../src/protocol/values.js';

export function generateParams(
  text: string,
  maxTokens: number,
  sampling: Partial<SamplingParams> = {},
): GenerateParams {
  return {
    request_id: 'test',
    prompt: { ...EMPTY_PROMPT, text },
    sampling: { ...DEFAULT_SAMPLING, max_tokens: maxTokens, ...sampling },
    n: 1,
    echo: false,
  };
}
