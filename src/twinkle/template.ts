/** A template as clients name it: conversations are written by the model's own, whatever the class is called. Pure. */
import { type Field, flag, type Given, ignored, maybe, named, only, readArguments, whole, word } from './arguments.js';

export interface Template {
  /** What a conversation begins with that begins with a user; null: nothing. */
  readonly system: string | null;
  /** For the model's chat template. */
  readonly variables: Record<string, unknown>;
  /** Tokens of a sequence; null: as many as the model takes. */
  readonly maxLength: number | null;
  readonly truncation: 'raise' | 'left' | 'right';
}

const text: Field<string> = {
  expected: 'text',
  absent: null,
  parse: (value) => (typeof value === 'string' ? value : undefined),
};

const truncation: Field<Template['truncation']> = {
  ...word(['raise', 'left', 'right'], 'raise'),
  expected: '"raise", "left" or "right" (a batch has as many sequences as it has conversations)',
};

const FIELDS = {
  default_system: maybe(text),
  enable_thinking: maybe(flag()),
  max_length: maybe(whole({ min: 1 })),
  truncation_strategy: truncation,
  use_chat_template: only([true, null], 'send `input_ids` for text that no template has written'),
  // The server knows where its model is.
  model_id: ignored,
  trust_remote_code: only([false, null], 'code of a model runs only where the server was told so'),
};

const read =
  (name: string) =>
  (given: Given): Template => {
    const {
      default_system,
      enable_thinking: thinking,
      max_length,
      truncation_strategy,
    } = readArguments(name, given, FIELDS);
    return {
      system: default_system,
      variables: thinking === null ? {} : { enable_thinking: thinking },
      maxLength: max_length,
      truncation: truncation_strategy,
    };
  };

const NAMES = ['Template', 'Qwen3_5Template', 'DeepseekV4Template'] as const;
const CLASSES: Readonly<Record<string, (given: Given) => Template>> = Object.fromEntries(
  NAMES.map((name) => [name, read(name)]),
);

/** @throws `INVALID_REQUEST` */
export function readTemplate(name: unknown, given: Given): Template {
  return named('template_cls', name, CLASSES, {})(given);
}
