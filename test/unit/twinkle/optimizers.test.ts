import { describe, expect, it } from 'vitest';
import { readOptimizer } from '../../../src/twinkle/optimizers.js';

const NO_SGD = { momentum: 0, nesterov: false, dampening: 0 };
const ADAM = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, ...NO_SGD };

describe('optimizers', () => {
  it('have the peer’s learning rate and weight decay where none are given, and torch’s other defaults', () => {
    expect(readOptimizer('AdamW', {})).toEqual({ kind: 'adamw', lr: 1e-5, ...ADAM });
    expect(readOptimizer('Adam', {})).toEqual({ kind: 'adam', lr: 1e-5, ...ADAM });
    const sgd = { kind: 'sgd', lr: 1e-5, beta1: 0, beta2: 0, eps: 0, weightDecay: 0.01, ...NO_SGD };
    expect(readOptimizer('SGD', {})).toEqual(sgd);
  });

  it('take torch’s arguments', () => {
    const given = { lr: 2e-4, betas: [0.8, 0.95], eps: 1e-6, weight_decay: 0.1 };
    const settings = { lr: 2e-4, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1, ...NO_SGD };
    expect(readOptimizer('AdamW', given)).toEqual({ kind: 'adamw', ...settings });
    expect(readOptimizer('SGD', { lr: 1, momentum: 0.9, nesterov: true, weight_decay: 0 })).toEqual({
      kind: 'sgd',
      lr: 1,
      beta1: 0,
      beta2: 0,
      eps: 0,
      weightDecay: 0,
      momentum: 0.9,
      nesterov: true,
      dampening: 0,
    });
  });

  it('take Adam with decoupled weight decay for AdamW', () => {
    expect(readOptimizer('Adam', { decoupled_weight_decay: true }).kind).toBe('adamw');
  });

  it('take what only changes how the same is computed', () => {
    const given = {
      foreach: true,
      fused: null,
      capturable: true,
      amsgrad: false,
      maximize: false,
      differentiable: false,
    };
    expect(readOptimizer('AdamW', given)).toEqual(readOptimizer('AdamW', {}));
  });

  it('know Megatron’s by both of its names, with its learning rate and its own arguments', () => {
    const given = { adam_beta1: 0.7, adam_beta2: 0.8, adam_eps: 1e-5, use_distributed_optimizer: true, bf16: true };
    const settings = { kind: 'adamw', lr: 1e-4, beta1: 0.7, beta2: 0.8, eps: 1e-5, weightDecay: 0.01, ...NO_SGD };
    expect(readOptimizer('MegatronOptimizer', given)).toEqual(settings);
    expect(readOptimizer('default', given)).toEqual(settings);
  });

  it('survive as JSON', () => {
    const settings = readOptimizer('SGD', { momentum: 0.5 });
    expect(JSON.parse(JSON.stringify(settings))).toEqual(settings);
  });
});

describe('what is refused', () => {
  const refusals: [string, unknown, Record<string, unknown>, string][] = [
    [
      'a mistyped name',
      'Adamw',
      {},
      'expected one of AdamW, Adam, SGD, MegatronOptimizer, default for `optimizer_cls` but received "Adamw"; did you mean `AdamW`?',
    ],
    ['an optimizer that there is not', 'Muon', {}, 'received "Muon"'],
    [
      'a mistyped argument',
      'AdamW',
      { weight_deacy: 0 },
      'AdamW has no argument `weight_deacy`; did you mean `weight_decay`?; it takes lr,',
    ],
    ['another one’s argument', 'Adam', { momentum: 0.9 }, 'Adam has no argument `momentum`'],
    [
      'a text for a number',
      'AdamW',
      { lr: '1e-4' },
      'expected a finite number of at least 0 for `lr` of AdamW but received "1e-4"',
    ],
    ['a negative learning rate', 'SGD', { lr: -1 }, 'for `lr` of SGD but received -1'],
    [
      'one beta',
      'Adam',
      { betas: [0.9] },
      'expected two numbers of at least 0 and below 1 for `betas` of Adam but received [0.9]',
    ],
    ['a beta of 1', 'Adam', { betas: [0.9, 1] }, 'but received [0.9,1]'],
    [
      'amsgrad',
      'AdamW',
      { amsgrad: true },
      'expected false (the largest second moments are not kept) for `amsgrad` of AdamW but received true',
    ],
    ['a step up', 'SGD', { maximize: true }, 'expected false (the loss is always made smaller: change its sign)'],
    [
      'nesterov without momentum',
      'SGD',
      { nesterov: true },
      'expected a momentum above 0 and a dampening of 0 with `nesterov` of SGD but received 0 and 0',
    ],
    ['a clip of Megatron’s own', 'default', { clip_grad: 1 }, 'ask for it with clip_grad_norm'],
  ];
  it.each(refusals)('%s', (_, name, given, message) => {
    const read = () => readOptimizer(name, given);
    expect(read).toThrow(message);
    expect(read).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }));
  });
});
