import { describe, expect, it } from 'vitest';
import type { TokenDelta, TokenLogprob } from '../../../src/protocol/values.js';
import type { Given } from '../../../src/twinkle/arguments.js';
import { readInputs } from '../../../src/twinkle/features.js';
import { SampledInput } from '../../../src/twinkle/sampled.js';

const logprob = (token_id: number, value: number | null, ...top: [number, number][]): TokenLogprob => ({
  ...{ token_id, token: '', bytes: [], logprob: value },
  top: top.map(([id, one]) => [id, '', [], one]),
});
const wants = (changes: object = {}) => ({ count: 1, logprobs: false, topkPrompt: null, ...changes });
const delta = (text: string, token_ids: number[], more: Partial<TokenDelta> = {}): TokenDelta => ({
  ...{ choice: 0, text, token_ids },
  ...more,
});

function collect(input: Given, tokens: number[] | null, wanted: object, ...deltas: TokenDelta[]) {
  const collected = new SampledInput(input, tokens, wants(wanted));
  for (const one of deltas) collected.add(one);
  return collected.result();
}

describe('sequences', () => {
  it('are put together from their parts, each by its number', () => {
    const { sequences } = collect(
      { input_ids: [1, 2] },
      [1, 2],
      { count: 2 },
      delta('a', [5], { choice: 1 }),
      delta('b', [6]),
      delta('c', [7, 8], { choice: 1, finish: 'stop' }),
      delta('', [], { finish: 'length' }),
    );
    expect(sequences).toMatchObject([
      { tokens: [6], decoded: 'b', stop_reason: 'length', logprobs: null },
      { tokens: [5, 7, 8], decoded: 'ac', stop_reason: 'stop', logprobs: null },
    ]);
  });

  it('that were given up say so', () => {
    expect(collect({}, [1], {}, delta('', [], { finish: 'abort' })).sequences[0]?.stop_reason).toBe('abort');
  });

  it('have the token itself first among its alternatives, once', () => {
    const logprobs = [logprob(5, -1, [9, -0.5], [5, -1], [3, -2]), logprob(6, null)];
    const { sequences } = collect({}, [1], { logprobs: true }, delta('ab', [5, 6], { logprobs }));
    expect(sequences[0]?.logprobs).toEqual([
      [
        [5, -1],
        [9, -0.5],
        [3, -2],
      ],
      [[6, 0]],
    ]);
  });
});

describe('the prompt', () => {
  const scored = [logprob(1, null), logprob(2, -0.25, [2, -0.25], [7, -3]), logprob(3, -4, [9, -1], [2, -2])];
  const prompt = { token_ids: [1, 2, 3], text: '', logprobs: scored };

  it('has log-probabilities from its second token on, with alternatives where they are asked for', () => {
    const first = delta('x', [4], { prompt });
    expect(collect({}, [1, 2, 3], { topkPrompt: 0 }, first)).toMatchObject({
      prompt_logprobs: [null, -0.25, -4],
      topk_prompt_logprobs: null,
    });
    expect(collect({}, [1, 2, 3], { topkPrompt: 2 }, first).topk_prompt_logprobs).toEqual([
      null,
      [
        [2, -0.25],
        [7, -3],
      ],
      [
        [3, -4],
        [9, -1],
        [2, -2],
      ],
    ]);
    expect(collect({}, [1, 2, 3], {}, first)).toMatchObject({ prompt_logprobs: null, topk_prompt_logprobs: null });
  });

  it('that the engine left out is an error of the engine', () => {
    expect(() => collect({}, null, {}, delta('x', [4]))).toThrow('did not say what the prompt was');
    expect(() => collect({}, [1], { topkPrompt: 0 }, delta('x', [4]))).toThrow('no log-probabilities of the prompt');
    const unscored = { ...prompt, logprobs: null };
    expect(() => collect({}, [1], { topkPrompt: 0 }, delta('x', [4], { prompt: unscored }))).toThrow('no log-prob');
  });
});

describe('new_input_feature', () => {
  it('trains on the answer, whose first token is the target of the prompt’s last', () => {
    const { sequences } = collect({ input_ids: [1, 2, 3] }, [1, 2, 3], {}, delta('x', [8, 9]));
    expect(sequences[0]?.new_input_feature).toEqual({
      input_ids: [1, 2, 3, 8, 9],
      labels: [-100, -100, 8, 9, -100],
      attention_mask: [1, 1, 1, 1, 1],
      position_ids: [0, 1, 2, 3, 4],
      length: 5,
    });
  });

  it('keeps the targets of turns before', () => {
    const input = { input_ids: [1, 2, 3], labels: [2, 3, -100], reward: 1 };
    const { sequences } = collect(input, [1, 2, 3], {}, delta('x', [8]));
    expect(sequences[0]?.new_input_feature).toMatchObject({ labels: [2, 3, 8, -100], reward: 1 });
  });

  it('of a prompt that was sent with padding has none', () => {
    const input = { input_ids: [1, 2, 0], attention_mask: [1, 1, 0], labels: [2, -100, -100] };
    const { sequences } = collect(input, [1, 2], {}, delta('x', [8]));
    expect(sequences[0]?.new_input_feature).toMatchObject({ input_ids: [1, 2, 8], labels: [-100, 8, -100] });
  });

  it('of a conversation has the engine’s tokens of it, and what was said', () => {
    const messages = [{ role: 'user', content: 'hi' }];
    const prompt = { token_ids: [4, 5], text: 'hi', logprobs: null };
    const { sequences } = collect({ messages }, null, {}, delta('yo', [6], { prompt }));
    expect(sequences[0]?.new_input_feature).toMatchObject({
      input_ids: [4, 5, 6],
      labels: [-100, 6, -100],
      messages: [...messages, { role: 'assistant', content: 'yo' }],
    });
    expect(messages).toHaveLength(1);
  });

  it('can be sent back, to be trained on or to be gone on with', () => {
    const { sequences } = collect({ input_ids: [1] }, [1], {}, delta('x', [8, 9]));
    const feature = sequences[0]?.new_input_feature ?? {};
    expect(readInputs([feature])).toMatchObject({
      features: [{ tokens: [1, 8, 9], labels: [8, 9, -100], padding: 0 }],
    });
    const again = collect(feature, [1, 8, 9], {}, delta('y', [7]));
    expect(again.sequences[0]?.new_input_feature).toMatchObject({ labels: [8, 9, 7, -100], length: 4 });
  });

  it('of nothing said is the prompt', () => {
    const { sequences } = collect({ input_ids: [1, 2] }, [1, 2], {}, delta('', [], { finish: 'stop' }));
    expect(sequences[0]?.new_input_feature).toMatchObject({ input_ids: [1, 2], labels: [-100, -100] });
  });
});
