import { describe, expect, it } from 'vitest';
import { inRanksWords } from '../../../../src/gateway/tinker/twinkle-words.js';
import type { TrainInput, TrainWork } from '../../../../src/protocol/training.js';

const input = (name: string): TrainInput => ({ name, dtype: 'float32', data: new Uint8Array(4), shapes: [[1]] });
const work = (change: Partial<TrainWork>): Omit<TrainWork, 'run'> => ({
  ...{ loss: 'cross_entropy', config: {}, forward_only: true, tokens: new Uint8Array(4), lengths: [1] },
  inputs: [input('target_tokens'), input('weights')],
  ...change,
});

describe('a request of the Tinker API', () => {
  it('is left alone where it says what Tinker knows', () => {
    const plain = work({ config: { beta: 1 } });
    expect(inRanksWords(plain)).toBe(plain);
    expect(inRanksWords(work({ config: { disable_lora: 0 } })).config).toEqual({});
  });

  it('cannot name losses of another API', () => {
    expect(() => inRanksWords(work({ loss: 'twinkle.dpo' }))).toThrow(
      'expected a loss of the Tinker SDK but received "twinkle.dpo"',
    );
  });

  it('asks the base model with disable_lora, of which cross_entropy alone knows', () => {
    const asked = inRanksWords(work({ config: { disable_lora: 1 } }));
    expect([asked.loss, asked.config]).toEqual(['twinkle.cross_entropy', { disable_lora: 1 }]);
    expect(() => inRanksWords(work({ loss: 'ppo', config: { disable_lora: 1 } }))).toThrow('expected cross_entropy');
  });

  it('is DPO with references, whose mask are the weights', () => {
    const inputs = ['target_tokens', 'weights', 'ref_logps', 'logprobs', 'advantages'].map(input);
    const asked = inRanksWords(
      work({ loss: 'importance_sampling', config: { dpo_beta: 0.2, dpo_sft_weight: 1 }, inputs }),
    );
    expect(asked.loss).toBe('twinkle.dpo');
    expect(asked.config).toEqual({
      beta: 0.2,
      sft_weight: 1,
      label_smoothing: 0,
      loss_type: 'sigmoid',
      reference_free: 0,
    });
    expect(asked.inputs.map(({ name }) => name)).toEqual(['target_tokens', 'mask', 'ref_logprobs']);
    expect(inRanksWords(work({ loss: 'importance_sampling', inputs })).config).toMatchObject({
      beta: 0.1,
      sft_weight: 0,
    });
    expect(() => inRanksWords(work({ loss: 'importance_sampling', config: { beta: 1 }, inputs }))).toThrow(
      'DPO takes dpo_beta and dpo_sft_weight but received `beta`',
    );
  });

  it('is importance sampling without', () => {
    const plain = work({ loss: 'importance_sampling' });
    expect(inRanksWords(plain)).toBe(plain);
  });
});
