import { describe, expect, it } from 'vitest';
import { DEFAULT_SAMPLING } from '../../../src/protocol/defaults.js';
import { readSampleParams } from '../../../src/twinkle/sample-params.js';

describe('sampling_params', () => {
  it('of nothing are what the client’s own server takes', () => {
    const plain = { temperature: 1, top_p: 1, top_k: 0, seed: null, stop: [], stop_token_ids: [], max_tokens: null };
    const expected = { sampling: { ...DEFAULT_SAMPLING, ...plain, logprobs: null, prompt_logprobs: null }, count: 1 };
    expect(readSampleParams(null)).toEqual(expected);
    expect(readSampleParams({})).toEqual(expected);
  });

  it.each([
    [{ max_tokens: 7 }, { max_tokens: 7 }],
    [{ max_new_tokens: 7 }, { max_tokens: 7 }],
    [{ max_tokens: 7, max_new_tokens: 9 }, { max_tokens: 7 }],
    [{ temperature: 0 }, { temperature: 0 }],
    [{ top_k: -1 }, { top_k: 0 }],
    [
      { top_k: 5, top_p: 0.5, seed: 3 },
      { top_k: 5, top_p: 0.5, seed: 3 },
    ],
    [{ stop: 'x' }, { stop: ['x'], stop_token_ids: [] }],
    [{ stop: '' }, { stop: [], stop_token_ids: [] }],
    [{ stop: null }, { stop: [], stop_token_ids: [] }],
    [{ stop: ['x', 'y'] }, { stop: ['x', 'y'] }],
    [{ stop: [2, 7] }, { stop: [], stop_token_ids: [2, 7] }],
    [{ repetition_penalty: 1.5 }, { repetition_penalty: 1.5 }],
    [{ logprobs: 0 }, { logprobs: 0 }],
    [
      { logprobs: 5, prompt_logprobs: 0 },
      { logprobs: 5, prompt_logprobs: 0 },
    ],
  ])('%j', (given, expected) => {
    expect(readSampleParams(given).sampling).toMatchObject(expected);
  });

  it('say how many sequences', () => {
    expect(readSampleParams({ num_samples: 4 }).count).toBe(4);
  });

  it.each([
    [{ max_tokens: 0 }, 'max_tokens'],
    [{ temperature: -1 }, 'temperature'],
    [{ temperature: Number.NaN }, 'temperature'],
    [{ top_k: 0 }, 'top_k'],
    [{ top_k: -2 }, 'top_k'],
    [{ top_p: 0 }, 'top_p'],
    [{ top_p: 1.5 }, 'top_p'],
    [{ stop: [''] }, 'stop'],
    [{ stop: ['x', 2] }, 'stop'],
    [{ stop: 3 }, 'stop'],
    [{ stop: [-1] }, 'stop'],
    [{ num_samples: 0 }, 'num_samples'],
    [{ num_samples: 1025 }, 'num_samples'],
    [{ logprobs: -1 }, 'logprobs'],
    [{ logprobs: 1001 }, 'logprobs'],
    [{ repetition_penalty: 0 }, 'repetition_penalty'],
    [{ best_of: 2 }, 'best_of'],
  ])('%j are refused, by the name', (given, param) => {
    expect(() => readSampleParams(given)).toThrow(expect.objectContaining({ status: 400, param }));
  });
});
