/**
 * Fields that OpenAI or vLLM know and that would change the meaning of the answer, but that nothing here can honour.
 * Each is refused by name, save for the values that ask for what is done anyway.
 */
import { TwinkleError } from '../../errors.js';
import { describeValue } from '../../util/describe-schema.js';

type Harmless = (value: unknown) => boolean;

const is =
  (...values: readonly unknown[]): Harmless =>
  (value) =>
    values.includes(value);
const never: Harmless = () => false;
const isEmpty: Harmless = (value) => Array.isArray(value) && value.length === 0;
const isPlainText: Harmless = (value) =>
  typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'text';
const isTextOnly: Harmless = (value) => Array.isArray(value) && value.every((kind) => kind === 'text');

/** Field → values that may pass. Null always may. */
const REFUSED_EVERYWHERE = {
  response_format: isPlainText,
  structured_outputs: never,
  guided_json: never,
  guided_regex: never,
  guided_choice: never,
  guided_grammar: never,
  guided_decoding_backend: never,
  guided_whitespace_pattern: never,
  logits_processors: isEmpty,
  use_beam_search: is(false),
  length_penalty: is(1),
  early_stopping: is(false),
  truncate_prompt_tokens: never,
  allowed_token_ids: never,
  bad_words: isEmpty,
  prompt_embeds: never,
  spaces_between_special_tokens: is(true),
  return_tokens_as_token_ids: is(false),
  priority: is(0),
  kv_transfer_params: never,
  vllm_xargs: never,
} as const satisfies Record<string, Harmless>;

/** Completions only. */
export const REFUSED_IN_COMPLETIONS = { ...REFUSED_EVERYWHERE, suffix: is('') } as const;

/** Chat completions only. */
export const REFUSED_IN_CHAT = {
  ...REFUSED_EVERYWHERE,
  tools: isEmpty,
  tool_choice: is('none', 'auto'),
  functions: isEmpty,
  function_call: is('none', 'auto'),
  audio: never,
  modalities: isTextOnly,
  prediction: never,
  web_search_options: never,
  reasoning_effort: never,
  verbosity: never,
  store: is(false),
  service_tier: is('auto', 'default'),
  documents: isEmpty,
  echo: is(false),
  mm_processor_kwargs: never,
} as const;

/** Throws `UNSUPPORTED_PARAMETER` for the first field of the table that asks for something. */
export function refuseUnsupported(body: object, table: Readonly<Record<string, Harmless>>): void {
  const values = body as Readonly<Record<string, unknown>>;
  for (const field in table) {
    const value = values[field];
    if (value === undefined || value === null || table[field]?.(value) === true) continue;
    throw new TwinkleError(
      'UNSUPPORTED_PARAMETER',
      `\`${field}\` is not supported by this server (received ${describeValue(value)}): leave it out.`,
      { param: field },
    );
  }
}
