/** Log probabilities in the three shapes of the API: completions, chat, and vLLM's prompt log probabilities. */
import type { TokenLogprob } from '../../protocol/values.js';

/** JSON has no infinity: a token that cannot be drawn gets this, as in vLLM. */
const IMPOSSIBLE = -9999;

const finite = (logprob: number): number => (Number.isNaN(logprob) ? IMPOSSIBLE : Math.max(logprob, IMPOSSIBLE));

/** `logprobs` of a completion choice. */
interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  /** Where each token begins in the text of the choice, in code points. */
  readonly text_offset: number[];
}

/** Code points of a text: the unit in which Python clients index it. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** @param offset where the first token begins. */
export function completionLogprobs(tokens: readonly TokenLogprob[], count: number, offset: number): CompletionLogprobs {
  const result: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  let position = offset;
  for (const { logprob, token, top } of tokens) {
    result.tokens.push(token);
    result.token_logprobs.push(logprob === null ? null : finite(logprob));
    const alternatives = top.slice(0, count).map(([, text, , value]) => [text, finite(value)] as const);
    // The chosen token is always shown, so there may be one more than was asked for. A Map and fromEntries keep `__proto__` a key.
    const shown = new Map(alternatives);
    if (logprob !== null) shown.set(token, finite(logprob));
    result.top_logprobs.push(logprob === null ? null : Object.fromEntries(shown));
    result.text_offset.push(position);
    position += codePoints(token);
  }
  return result;
}

/** `logprobs` of a chat choice. */
interface ChatLogprobs {
  readonly content: {
    readonly token: string;
    readonly logprob: number;
    readonly bytes: number[];
    readonly top_logprobs: { readonly token: string; readonly logprob: number; readonly bytes: number[] }[];
  }[];
}

/** @param count alternatives to show. */
export function chatLogprobs(tokens: readonly TokenLogprob[], count: number): ChatLogprobs {
  return {
    content: tokens.map(({ bytes, logprob, token, top }) => ({
      token,
      logprob: finite(logprob ?? 0),
      bytes,
      top_logprobs: top
        .slice(0, count)
        .map(([, text, raw, value]) => ({ token: text, logprob: finite(value), bytes: raw })),
    })),
  };
}

/** vLLM's `prompt_logprobs`: per prompt token, token id → what is known of it; null for the first. */
type PromptLogprobs = (Record<string, { logprob: number; rank: number | null; decoded_token: string }> | null)[];

/** `rank` counts from 1 and is null for a chosen token that is not among the alternatives. */
export function promptLogprobs(tokens: readonly TokenLogprob[]): PromptLogprobs {
  return tokens.map(({ logprob, token, token_id: chosen, top }) => {
    if (logprob === null) return null;
    const rank = top.findIndex(([id]) => id === chosen) + 1;
    const entries = top.map(([id, text, , value], index) => [
      String(id),
      { logprob: finite(value), rank: index + 1, decoded_token: text },
    ]);
    const own = [String(chosen), { logprob: finite(logprob), rank: rank === 0 ? null : rank, decoded_token: token }];
    return Object.fromEntries([...entries, own]);
  });
}
