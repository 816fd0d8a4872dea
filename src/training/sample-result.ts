/** Collects what one sample request gains, token by token, as flat arrays. Knows no wire format. */

import {
  NO_LOGPROB,
  type SampledSequence,
  type SampleResult,
  type TopkLogprobs,
} from '../protocol/tinker/sample-response.js';
import type { GenerateEnd, PromptInfo, TokenDelta, TokenLogprob } from '../protocol/values.js';
import type { SampleRequest } from './types.js';

class Sequence {
  readonly tokens: number[] = [];
  readonly logprobs: TokenLogprob[] = [];
  stopReason: 'stop' | 'length' = 'length';
}

export class SampleCollector {
  readonly #sequences: readonly Sequence[];
  #prompt: PromptInfo | null = null;

  constructor(private readonly request: SampleRequest) {
    this.#sequences = Array.from({ length: request.count }, () => new Sequence());
  }

  add({ choice, finish, logprobs, prompt, token_ids }: TokenDelta): void {
    if (prompt !== undefined) this.#prompt = prompt;
    const sequence = this.#sequences[choice];
    if (sequence === undefined) return;
    for (const token of token_ids) sequence.tokens.push(token);
    for (const logprob of logprobs ?? []) sequence.logprobs.push(logprob);
    if (finish === 'stop') sequence.stopReason = 'stop';
  }

  /** @throws Error when the engine left out what was asked for */
  result(end: GenerateEnd): SampleResult {
    const { promptLogprobs, promptLogprobsLast, topkPrompt, topkSample } = this.request;
    const prompt = promptLogprobs || topkPrompt > 0 ? this.#scored(promptLogprobsLast) : null;
    return {
      sequences: this.#sequences.map((sequence) => finished(sequence, topkSample)),
      promptLogprobs: prompt !== null && promptLogprobs ? logprobsOf(prompt) : null,
      topkPrompt: prompt !== null && topkPrompt > 0 ? topkOf(prompt, topkPrompt) : null,
      cachedTokens: end.cached_tokens,
    };
  }

  /** Log-probabilities of the prompt; those before the last ones that were asked for are left out. */
  #scored(last: number | null): readonly (TokenLogprob | null)[] {
    const scored = this.#prompt?.logprobs;
    if (scored == null) throw new Error('the engine sent no log-probabilities of the prompt');
    const from = last === null ? 0 : scored.length - last;
    return scored.map((logprob, at) => (at < from ? null : logprob));
  }
}

function finished({ logprobs, stopReason, tokens }: Sequence, topk: number): SampledSequence {
  if (logprobs.length !== tokens.length)
    throw new Error(`the engine sent ${logprobs.length} log-probabilities for ${tokens.length} tokens`);
  return {
    stopReason,
    tokens: Int32Array.from(tokens),
    logprobs: logprobsOf(logprobs),
    topk: topk > 0 ? topkOf(logprobs, topk) : null,
  };
}

const logprobsOf = (all: readonly (TokenLogprob | null)[]): Float32Array =>
  Float32Array.from(all, (one) => one?.logprob ?? Number.NaN);

function topkOf(all: readonly (TokenLogprob | null)[], k: number): TopkLogprobs {
  const tokenIds = new Int32Array(all.length * k);
  const logprobs = new Float32Array(all.length * k).fill(NO_LOGPROB);
  all.forEach((one, row) => {
    one?.top.slice(0, k).forEach(([id, , , logprob], column) => {
      tokenIds[row * k + column] = id;
      logprobs[row * k + column] = logprob;
    });
  });
  return { tokenIds, logprobs, k, rows: all.length };
}
