/** What an engine made of one input, as the client reads it; and the input with it, to be trained on. Pure. */
import type { PromptInfo, TokenDelta, TokenLogprob } from '../protocol/values.js';
import type { Given } from './arguments.js';
import { IGNORED } from './feature-fields.js';

type Alternatives = readonly (readonly [token: number, logprob: number])[];

interface Sequence {
  readonly stop_reason: 'stop' | 'length' | 'abort';
  readonly tokens: readonly number[];
  readonly logprobs: readonly Alternatives[] | null;
  readonly decoded: string;
  readonly new_input_feature: Given;
}

export interface Sampled {
  readonly sequences: readonly Sequence[];
  readonly prompt_logprobs: readonly (number | null)[] | null;
  readonly topk_prompt_logprobs: readonly (Alternatives | null)[] | null;
}

class Choice {
  readonly tokens: number[] = [];
  readonly logprobs: TokenLogprob[] = [];
  text = '';
  stopReason: Sequence['stop_reason'] = 'length';
}

/** Collects one input's answer. */
export class SampledInput {
  readonly #choices: readonly Choice[];
  #prompt: PromptInfo | null = null;

  /**
   * @param input as it came: an encoded sequence, or a conversation
   * @param tokens of the prompt; null: the engine says them
   */
  constructor(
    private readonly input: Given,
    private readonly tokens: readonly number[] | null,
    private readonly wants: { readonly count: number; readonly logprobs: boolean; readonly topkPrompt: number | null },
  ) {
    this.#choices = Array.from({ length: wants.count }, () => new Choice());
  }

  add({ choice: at, finish, logprobs, prompt, text, token_ids }: TokenDelta): void {
    if (prompt !== undefined) this.#prompt = prompt;
    const choice = this.#choices[at];
    if (choice === undefined) return;
    choice.tokens.push(...token_ids);
    choice.logprobs.push(...(logprobs ?? []));
    choice.text += text;
    if (finish === 'stop' || finish === 'abort') choice.stopReason = finish;
  }

  /** @throws Error when the engine left out what was asked for */
  result(): Sampled {
    const prompt = this.tokens ?? this.#prompt?.token_ids ?? null;
    if (prompt === null) throw new Error('the engine did not say what the prompt was');
    const { topkPrompt } = this.wants;
    const scored = topkPrompt === null ? null : (this.#prompt?.logprobs ?? null);
    if (topkPrompt !== null && scored === null) throw new Error('the engine sent no log-probabilities of the prompt');
    return {
      sequences: this.#choices.map((choice) => ({
        stop_reason: choice.stopReason,
        tokens: choice.tokens,
        logprobs: this.wants.logprobs ? choice.logprobs.map(alternatives) : null,
        decoded: choice.text,
        new_input_feature: continued(this.input, prompt, choice),
      })),
      // The first token has none.
      prompt_logprobs: scored?.map((one) => one?.logprob ?? null) ?? null,
      topk_prompt_logprobs:
        scored === null || topkPrompt === 0
          ? null
          : scored.map((one) => (one?.logprob == null ? null : alternatives(one))),
    };
  }
}

/** The token itself first, whatever its rank is; then those that are likelier or next. */
function alternatives({ logprob, token_id, top }: TokenLogprob): Alternatives {
  const others = top.flatMap(([id, , , one]) => (id === token_id ? [] : [[id, one] as const]));
  return [[token_id, logprob ?? 0], ...others];
}

/** The input with the answer behind it: targets of the answer count, those of the prompt as they did. */
function continued(input: Given, prompt: readonly number[], { text, tokens }: Choice): Given {
  const { messages } = input;
  const size = prompt.length + tokens.length;
  const said =
    Array.isArray(input.labels) && input.labels.length === prompt.length ? (input.labels as unknown[]) : null;
  const before = said?.slice(0, -1) ?? Array<number>(prompt.length - 1).fill(IGNORED);
  return {
    ...input,
    input_ids: [...prompt, ...tokens],
    labels: [...before, ...tokens, IGNORED],
    attention_mask: Array<number>(size).fill(1),
    position_ids: Array.from({ length: size }, (_, at) => at),
    length: size,
    ...(Array.isArray(messages)
      ? { messages: [...(messages as unknown[]), { role: 'assistant', content: text }] }
      : {}),
  };
}
