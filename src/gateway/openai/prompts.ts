/** `Prompt` values of the wire contract, complete: one of text, token ids and messages, and nothing left open. */
import { EMPTY_PROMPT } from '../../protocol/defaults.js';
import type { Prompt } from '../../protocol/values.js';

/** A prompt that is no conversation, without special tokens unless it says so. */
const EMPTY: Prompt = { ...EMPTY_PROMPT, add_generation_prompt: false, add_special_tokens: false };

/** Text, tokenized by the model. */
export function textPrompt(text: string, addSpecialTokens: boolean): Prompt {
  return { ...EMPTY, text, add_special_tokens: addSpecialTokens };
}

/** Token ids as they are. */
export function tokenPrompt(tokenIds: number[]): Prompt {
  return { ...EMPTY, token_ids: tokenIds };
}

/** What a chat prompt adds to its messages; defaults as in vLLM. */
export interface ChatPromptOptions {
  readonly chat_template?: string | null;
  readonly chat_template_kwargs?: Readonly<Record<string, unknown>> | null;
  readonly add_generation_prompt?: boolean | null;
  readonly continue_final_message?: boolean | null;
  readonly add_special_tokens?: boolean | null;
}

/** Messages, rendered by the model's chat template. */
export function chatPrompt(messages: unknown[], options: ChatPromptOptions): Prompt {
  return {
    ...EMPTY,
    messages,
    chat_template: options.chat_template ?? null,
    chat_template_kwargs: { ...options.chat_template_kwargs },
    add_generation_prompt: options.add_generation_prompt ?? true,
    continue_final_message: options.continue_final_message ?? false,
    // Templates write special tokens themselves.
    add_special_tokens: options.add_special_tokens ?? false,
  };
}
