import { describe, expect, it } from 'vitest';
import { DEFAULT_LOSS, readLoss } from '../../../../src/twinkle/losses/loss.js';

const CLIPPED = { epsilon: 0.2, epsilon_high: 0.2, beta: 0, entropy_coef: 0 };

describe('losses by name', () => {
  const specs: [string, Record<string, unknown>, object][] = [
    ['CrossEntropyLoss', {}, { wire: 'twinkle.cross_entropy', config: { dft: 0 }, reduction: 'token-mean' }],
    [
      'CrossEntropyLoss',
      { reduction: 'sum', dft: true, ignore_index: -100 },
      { config: { dft: 1 }, reduction: 'token-sum' },
    ],
    ['ChunkedCrossEntropyLoss', { chunk_size: 64 }, { wire: 'twinkle.cross_entropy', reduction: 'token-mean' }],
    ['LigerFusedLinearCrossEntropyLoss', { softcap: null }, { wire: 'twinkle.cross_entropy', reduction: 'token-sum' }],
    ['GRPOLoss', {}, { wire: 'twinkle.grpo', config: CLIPPED, reduction: 'sequence-mean' }],
    ['GRPOLoss', { epsilon: 0.1, epsilon_high: null }, { config: { ...CLIPPED, epsilon: 0.1, epsilon_high: 0.1 } }],
    [
      'GRPOLoss',
      { epsilon_high: 0.28, beta: 0.04, entropy_coef: 0.01 },
      { config: { epsilon: 0.2, epsilon_high: 0.28, beta: 0.04, entropy_coef: 0.01 } },
    ],
    ['PPOLoss', {}, { wire: 'twinkle.grpo', config: CLIPPED, reduction: 'token-mean' }],
    ['PPOLoss', { loss_agg_mode: 'seq-mean-token-mean' }, { reduction: 'sequence-mean' }],
    ['GSPOLoss', {}, { wire: 'twinkle.gspo', config: CLIPPED, reduction: 'sequence-mean' }],
    [
      'SAPOLoss',
      { tau_neg: 1.05 },
      {
        wire: 'twinkle.sapo',
        config: { tau_pos: 1, tau_neg: 1.05, beta: 0, entropy_coef: 0 },
        reduction: 'sequence-mean',
      },
    ],
    [
      'CISPOLoss',
      {},
      { wire: 'twinkle.cispo', config: { epsilon: 0.2, beta: 0, entropy_coef: 0 }, reduction: 'batch-items' },
    ],
    ['BNPOLoss', {}, { wire: 'twinkle.grpo', config: CLIPPED, reduction: 'token-mean' }],
    ['DRGRPOLoss', {}, { wire: 'twinkle.grpo', config: CLIPPED, reduction: 'batch-length', length: 1024 }],
    [
      'DPOLoss',
      {},
      {
        wire: 'twinkle.dpo',
        config: { beta: 0.1, label_smoothing: 0, loss_type: 'sigmoid', reference_free: 0, sft_weight: 0 },
        reduction: 'own',
      },
    ],
    [
      'DPOLoss',
      { loss_type: 'ipo', reference_free: true },
      { config: { beta: 0.1, label_smoothing: 0, loss_type: 'ipo', reference_free: 1, sft_weight: 0 } },
    ],
    ['SimPOLoss', {}, { wire: 'twinkle.simpo', config: { beta: 2.5, gamma: 0.5 }, reduction: 'own' }],
    ['CPOLoss', {}, { wire: 'twinkle.cpo', config: { beta: 0.1, bc_coef: 1 }, reduction: 'own' }],
    ['ORPOLoss', {}, { wire: 'twinkle.orpo', config: { lambda_orpo: 0.1 }, reduction: 'own' }],
    [
      'InfonceLoss',
      {},
      {
        wire: 'twinkle.infonce',
        config: {
          temperature: 0.1,
          use_batch: 1,
          mask_fake_negative: 0,
          fake_neg_margin: 0.1,
          include_qq: 0,
          include_dd: 0,
        },
        reduction: 'own',
      },
    ],
    [
      'InfonceLoss',
      { hard_negatives: 3, use_batch: false },
      {
        config: {
          temperature: 0.1,
          use_batch: 0,
          mask_fake_negative: 0,
          fake_neg_margin: 0.1,
          include_qq: 0,
          include_dd: 0,
          hard_negatives: 3,
        },
      },
    ],
  ];
  it.each(specs)('%s %j', (name, given, expected) => {
    const spec = readLoss(name, given);
    expect(spec).toMatchObject({ name, ...expected });
    if ('config' in expected) expect(spec.config).toEqual(expected.config);
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });

  it('has short names for all', () => {
    const short =
      'cross_entropy chunked_cross_entropy liger_fused_linear_cross_entropy grpo ppo gspo sapo cispo bnpo dr_grpo dpo simpo cpo orpo infonce';
    const names = short.split(' ').map((name) => readLoss(name, {}).name);
    expect(new Set(names).size).toBe(15);
    expect(readLoss('dr_grpo', {}).name).toBe('DRGRPOLoss');
  });

  it('is a sum of cross entropies until one is set', () => {
    expect(DEFAULT_LOSS).toMatchObject({ wire: 'twinkle.cross_entropy', reduction: 'token-sum' });
  });
});

describe('what is refused', () => {
  const refusals: [string, unknown, Record<string, unknown>, string][] = [
    ['a mistyped name', 'GRPOLos', {}, 'for `loss_cls` but received "GRPOLos"; did you mean `GRPOLoss`?'],
    ['a word of JavaScript’s objects', 'toString', {}, 'for `loss_cls` but received "toString"'],
    [
      'a loss of logits',
      'MSELoss',
      {},
      'MSELoss does not work here: it compares whole rows of logits, which are never held; use one of',
    ],
    ['another', 'gkd', {}, 'gkd does not work here: it compares whole rows of logits'],
    ['a loss of values', 'PPOValueLoss', {}, 'PPOValueLoss does not work here: there is no head of values to train'],
    [
      'a mistyped argument',
      'GRPOLoss',
      { epsilon_hihg: 1 },
      'GRPOLoss has no argument `epsilon_hihg`; did you mean `epsilon_high`?',
    ],
    [
      'another reduction',
      'CrossEntropyLoss',
      { reduction: 'none' },
      'expected "mean" or "sum" for `reduction` of CrossEntropyLoss but received "none"',
    ],
    [
      'another label to ignore',
      'CrossEntropyLoss',
      { ignore_index: 0 },
      'expected -100 (labels of -100 are those that do not count)',
    ],
    [
      'smoothed labels',
      'LigerFusedLinearCrossEntropyLoss',
      { label_smoothing: 0.1 },
      'expected 0 (labels are not smoothed here)',
    ],
    [
      'a negative penalty',
      'GRPOLoss',
      { beta: -1 },
      'expected a finite number of at least 0 for `beta` of GRPOLoss but received -1',
    ],
    [
      'another mode',
      'PPOLoss',
      { loss_agg_mode: 'sum' },
      'expected "token-mean" or "seq-mean-token-mean" for `loss_agg_mode`',
    ],
    [
      'a gate of no width',
      'SAPOLoss',
      { tau_pos: 0 },
      'expected a finite number above 0 for `tau_pos` of SAPOLoss but received 0',
    ],
    [
      'no length',
      'DRGRPOLoss',
      { max_completion_length: 0 },
      'expected a whole number of at least 1 for `max_completion_length`',
    ],
    ['another kind', 'DPOLoss', { loss_type: 'robust' }, 'for `loss_type` of DPOLoss but received "robust"'],
    [
      'smoothing of another kind',
      'DPOLoss',
      { loss_type: 'hinge', label_smoothing: 0.1 },
      'expected `loss_type` "sigmoid" with `label_smoothing` of DPOLoss but received "hinge"',
    ],
    [
      'a division by 0',
      'DPOLoss',
      { loss_type: 'ipo', beta: 0 },
      'expected a number above 0 for `beta` of DPOLoss with `loss_type` "ipo"',
    ],
    [
      'a margin that masks positives',
      'InfonceLoss',
      { mask_fake_negative: true, fake_neg_margin: 0 },
      'expected a number above 0 for `fake_neg_margin`',
    ],
  ];
  it.each(refusals)('%s', (_, name, given, message) => {
    expect(() => readLoss(name, given)).toThrow(message);
    expect(() => readLoss(name, given)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
