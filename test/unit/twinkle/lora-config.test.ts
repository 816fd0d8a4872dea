import { describe, expect, it } from 'vitest';
import { readLoraConfig } from '../../../src/twinkle/lora-config.js';

/** `LoraConfig()` of peft 0.21.2, as the client writes it. */
const PEFT = {
  ...{ task_type: null, peft_type: 'LORA', auto_mapping: null, peft_version: '0.21.2', base_model_name_or_path: null },
  ...{ revision: null, inference_mode: false, r: 8, target_modules: null, exclude_modules: null, lora_alpha: 8 },
  ...{ lora_dropout: 0, fan_in_fan_out: false, bias: 'none', use_rslora: false, modules_to_save: null },
  ...{ init_lora_weights: true, layers_to_transform: null, layers_pattern: null, rank_pattern: {}, alpha_pattern: {} },
  ...{ megatron_config: null, megatron_core: 'megatron.core', trainable_token_indices: null, loftq_config: {} },
  ...{ eva_config: null, corda_config: null, lora_ga_config: null, use_dora: false, velora_config: null },
  ...{ alora_invocation_tokens: null, use_qalora: false, qalora_group_size: 16, monteclora_config: null },
  ...{ layer_replication: null, lora_bias: false, target_parameters: null, use_bdlora: null, arrow_config: null },
  ...{ kasa_config: null, ensure_weight_tying: false, _TWINKLE_TYPE_: 'LoraConfig' },
};
const PLAIN = { alpha: 8, dropout: 0, targets: null, rslora: false, init: 'default' };
const withField = (changes: object) => readLoraConfig(JSON.stringify({ ...PEFT, ...changes }));

describe('a LoraConfig', () => {
  it('of peft with nothing set is that of peft', () => {
    expect(withField({})).toEqual({ rank: 8, attn: true, mlp: true, unembed: false, lora: PLAIN });
  });

  it('has the same meaning as text, as an object, and with fields left out', () => {
    expect(readLoraConfig({ ...PEFT })).toEqual(withField({}));
    expect(readLoraConfig({})).toEqual(withField({}));
  });

  it.each([
    [{ r: 64 }, { rank: 64 }],
    [{ lora_alpha: 0.5 }, { lora: { alpha: 0.5 } }],
    [{ lora_dropout: 0.05 }, { lora: { dropout: 0.05 } }],
    [{ use_rslora: true }, { lora: { rslora: true } }],
    [{ target_modules: 'all-linear' }, { lora: { targets: null } }],
    [{ target_modules: ['v_proj', 'q_proj', 'v_proj'] }, { lora: { targets: ['q_proj', 'v_proj'] } }],
    [{ target_modules: ['self_attn.q_proj'] }, { lora: { targets: ['self_attn.q_proj'] } }],
    [{ init_lora_weights: 'gaussian' }, { lora: { init: 'gaussian' } }],
    [{ init_lora_weights: false }, { lora: { init: 'default' } }],
    [{ task_type: 'CAUSAL_LM', inference_mode: true, base_model_name_or_path: 'x' }, { rank: 8 }],
    [{ rank_pattern: {}, modules_to_save: [], use_dora: null }, { rank: 8 }],
    [{ a_later_field: null, another: false, third: null }, { rank: 8 }],
  ])('%j', (changes, expected) => {
    expect(withField(changes)).toMatchObject(expected);
  });

  it.each([
    [{ r: 0 }, 'r'],
    [{ r: 2.5 }, 'r'],
    [{ r: '8' }, 'r'],
    [{ lora_alpha: 0 }, 'lora_alpha'],
    [{ lora_dropout: 1 }, 'lora_dropout'],
    [{ lora_dropout: -0.1 }, 'lora_dropout'],
    [{ target_modules: '.*q_proj' }, 'target_modules'],
    [{ target_modules: [] }, 'target_modules'],
    [{ target_modules: ['a b'] }, 'target_modules'],
    [{ target_modules: [3] }, 'target_modules'],
    [{ use_rslora: 'yes' }, 'use_rslora'],
    [{ init_lora_weights: 'pissa' }, 'init_lora_weights'],
    [{ bias: 'all' }, 'bias'],
    [{ fan_in_fan_out: true }, 'fan_in_fan_out'],
    [{ use_dora: true }, 'use_dora'],
    [{ use_qalora: true }, 'use_qalora'],
    [{ lora_bias: true }, 'lora_bias'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ trainable_token_indices: [1] }, 'trainable_token_indices'],
    [{ target_parameters: ['x'] }, 'target_parameters'],
    [{ rank_pattern: { q_proj: 4 } }, 'rank_pattern'],
    [{ alpha_pattern: { q_proj: 4 } }, 'alpha_pattern'],
    [{ layers_to_transform: [0] }, 'layers_to_transform'],
    [{ layers_pattern: 'h' }, 'layers_pattern'],
    [{ exclude_modules: ['q_proj'] }, 'exclude_modules'],
    [{ layer_replication: [[0, 1]] }, 'layer_replication'],
    [{ loftq_config: { loftq_bits: 4 } }, 'loftq_config'],
    [{ ensure_weight_tying: true }, 'ensure_weight_tying'],
    [{ peft_type: 'LOHA' }, 'peft_type'],
    [{ a_later_field: 3 }, 'a_later_field'],
  ])('with %j is refused, by the name of the field', (changes, param) => {
    expect(() => withField(changes)).toThrow(expect.objectContaining({ status: 400, param }));
  });
});

it.each([null, undefined, 'null'])('%j: all parameters of the model are trained', (config) => {
  expect(readLoraConfig(config)).toMatchObject({ rank: 0, attn: true, mlp: true, unembed: true });
});

it.each(['', '{', '[]', '3', '"x"', 7, [], true, JSON.stringify({ _TWINKLE_TYPE_: 'DatasetMeta' })])(
  '%j is no LoraConfig',
  (config) => {
    expect(() => readLoraConfig(config)).toThrow('expected a LoraConfig for `config`');
  },
);
