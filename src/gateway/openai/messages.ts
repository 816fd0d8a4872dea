/** Chat messages: their schema, and the form in which chat templates of every model understand them. */

import { TwinkleError } from '../../errors.js';
import { type Static, Type } from '../../protocol/type.js';
import { optional } from './fields.js';
import type { ChatPromptOptions } from './prompts.js';

const Part = Type.Object({ type: Type.String(), text: Type.Optional(Type.Unknown()) });

/** Fields beside these (`name`, `tool_calls`, `tool_call_id`, `reasoning_content` …) reach the template untouched. */
export const ChatMessage = Type.Object({
  role: Type.String({ minLength: 1 }),
  content: optional(Type.Union([Type.String(), Type.Array(Part)])),
});
export type ChatMessage = Static<typeof ChatMessage>;

/** The fields that turn messages into a prompt, for chat completions and `/tokenize`. */
export const CHAT_PROMPT_FIELDS = {
  messages: Type.Array(ChatMessage, { minItems: 1 }),
  chat_template: optional(Type.String({ description: 'Jinja template instead of the model’s.' })),
  chat_template_kwargs: optional(Type.Record(Type.String(), Type.Unknown())),
  add_generation_prompt: optional(Type.Boolean()),
  continue_final_message: optional(Type.Boolean()),
} as const;

function plainText(parts: readonly Static<typeof Part>[], where: string): string {
  return parts
    .map(({ type, text }, index) => {
      if (type !== 'text' && type !== 'input_text') {
        throw new TwinkleError(
          'UNSUPPORTED_PARAMETER',
          `Parts of type ${JSON.stringify(type).slice(0, 60)} are not supported by this server, only "text": leave it out.`,
          { param: `${where}.content[${index}].type` },
        );
      }
      if (typeof text === 'string') return text;
      throw new TwinkleError('INVALID_REQUEST', 'Expected a string for the `text` of a text part.', {
        param: `${where}.content[${index}].text`,
      });
    })
    .join('\n');
}

/**
 * Messages for a template: text parts joined by line ends, because most templates know only strings, and `developer`
 * called `system`, which templates know and OpenAI treats alike. Throws `UNSUPPORTED_PARAMETER` for images and the like.
 */
export function templateMessages(messages: readonly ChatMessage[]): unknown[] {
  return messages.map((message, index) => {
    const { role, content } = message;
    if (!Array.isArray(content) && role !== 'developer') return message;
    return {
      ...message,
      role: role === 'developer' ? 'system' : role,
      ...(Array.isArray(content) ? { content: plainText(content, `messages[${index}]`) } : {}),
    };
  });
}

/** A prompt either ends with the head of a new message or continues the last one. */
export function checkContinuation(options: ChatPromptOptions): void {
  if (options.continue_final_message === true && options.add_generation_prompt !== false) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      'Expected `add_generation_prompt` to be false where `continue_final_message` is true: set it to false.',
      { param: 'continue_final_message' },
    );
  }
}
