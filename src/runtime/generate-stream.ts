/** `generate` for people: options with defaults in, an AsyncIterable of text out. The gateway does not use it: see serving/types. */
import { randomUUID } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import { DEFAULT_SAMPLING, EMPTY_PROMPT } from '../protocol/defaults.js';
import type { GenerateEnd, GenerateParams, TokenDelta } from '../protocol/values.js';
import type { Inference } from '../serving/types.js';
import { AsyncQueue } from '../util/async-queue.js';

/** One OpenAI chat message. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** What to generate. Give `prompt` or `messages`. */
export interface GenerateOptions {
  /** Name of the model; may be left out when one is served. */
  readonly model?: string;
  /** Text, or token ids. */
  readonly prompt?: string | readonly number[];
  readonly messages?: readonly ChatMessage[];
  /** New tokens at most; default: to the end of the context for messages, 16 for a prompt (as OpenAI). */
  readonly maxTokens?: number;
  /** Default 1; 0 is greedy. */
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly seed?: number;
  readonly stop?: readonly string[];
  /** Ends the generation; the iterator throws `ABORTED`. */
  readonly signal?: AbortSignal;
}

/** Pieces of the answer, one engine step each; `finish` is set on the last. */
export type GeneratedPiece = TokenDelta;

function params(options: GenerateOptions): GenerateParams {
  const { prompt, messages } = options;
  if ((prompt === undefined) === (messages === undefined)) {
    throw new TwinkleError('INVALID_REQUEST', 'expected exactly one of `prompt` and `messages`');
  }
  return {
    request_id: `embed-${randomUUID()}`,
    prompt: {
      ...EMPTY_PROMPT,
      text: typeof prompt === 'string' ? prompt : null,
      token_ids: typeof prompt === 'object' ? [...prompt] : null,
      messages: messages === undefined ? null : [...messages],
      add_special_tokens: messages === undefined,
    },
    sampling: {
      ...DEFAULT_SAMPLING,
      max_tokens: options.maxTokens ?? (messages === undefined ? 16 : null),
      temperature: options.temperature ?? DEFAULT_SAMPLING.temperature,
      top_p: options.topP ?? DEFAULT_SAMPLING.top_p,
      top_k: options.topK ?? DEFAULT_SAMPLING.top_k,
      min_p: options.minP ?? DEFAULT_SAMPLING.min_p,
      seed: options.seed ?? null,
      stop: [...(options.stop ?? [])],
    },
    n: 1,
    echo: false,
  };
}

/**
 * Generate. Leaving the loop early ends the work; a slow reader slows only itself.
 * @throws what {@link Inference.generate} throws, at once; errors of the engine come from the iterator
 */
export function generateStream(inference: Inference, options: GenerateOptions): AsyncIterableIterator<GeneratedPiece> {
  const { signal } = options;
  signal?.throwIfAborted();
  const queue = new AsyncQueue<GeneratedPiece>({
    pause: (paused) => generation.pause(paused),
    cancel: () => finish(() => generation.abort()),
  });
  const finish = (act: () => void): void => {
    signal?.removeEventListener('abort', withdraw);
    act();
  };
  const withdraw = (): void =>
    finish(() => {
      generation.abort();
      queue.fail(new TwinkleError('ABORTED', 'the generation was withdrawn', { cause: signal?.reason }));
    });
  const generation = inference.generate(
    options.model ?? null,
    params(options),
    {
      delta: (delta) => queue.push(delta),
      end: (_end: GenerateEnd) => finish(() => queue.end()),
      error: (error) => finish(() => queue.fail(error)),
    },
    { tenant: 'local' },
  );
  signal?.addEventListener('abort', withdraw, { once: true });
  return queue;
}
