/** Optimizers by the names and arguments of torch.optim: what a step takes of them. Pure. */

import { TwinkleError } from '../errors.js';
import { type Field, flag, type Given, ignored, named, number, only, readArguments } from './arguments.js';

/** How steps are taken: plain JSON, nothing optional. What a kind does not use is 0, or false. */
export interface OptimizerSettings {
  /** `adam` adds the weight decay to the gradient, `adamw` takes it off the weights. */
  readonly kind: 'adamw' | 'adam' | 'sgd';
  readonly lr: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly nesterov: boolean;
  readonly dampening: number;
}

/** As the peer's server has them, whatever torch's own defaults are. */
const LEARNING_RATE = 1e-5;
const WEIGHT_DECAY = 0.01;
/** Of the peer's Megatron backend. */
const MEGATRON_LEARNING_RATE = 1e-4;

const NO_SGD = { momentum: 0, nesterov: false, dampening: 0 } as const;

const betas: Field<readonly [number, number]> = {
  expected: 'two numbers of at least 0 and below 1',
  absent: { is: [0.9, 0.999] },
  parse: (value) => {
    if (!Array.isArray(value) || value.length !== 2) return undefined;
    const [first, second] = value as unknown[];
    const beta = (one: unknown): one is number => typeof one === 'number' && one >= 0 && one < 1;
    return beta(first) && beta(second) ? [first, second] : undefined;
  },
};

const common = {
  lr: number({ min: 0 }, LEARNING_RATE),
  weight_decay: number({ min: 0 }, WEIGHT_DECAY),
  maximize: only([false], 'the loss is always made smaller: change its sign'),
  differentiable: only([false], 'a step is never differentiated'),
  // Ways to compute the same.
  foreach: ignored,
  fused: ignored,
};

const adamFields = {
  ...common,
  betas,
  eps: number({ min: 0 }, 1e-8),
  amsgrad: only([false], 'the largest second moments are not kept'),
  capturable: ignored,
};

const megatronFields = {
  lr: number({ min: 0 }, MEGATRON_LEARNING_RATE),
  weight_decay: number({ min: 0 }, WEIGHT_DECAY),
  adam_beta1: number({ min: 0, below: 1 }, 0.9),
  adam_beta2: number({ min: 0, below: 1 }, 0.999),
  adam_eps: number({ min: 0 }, 1e-8),
  clip_grad: only([0], 'ask for it with clip_grad_norm or clip_grad_and_step'),
  // How Megatron spreads the state and in which precision it multiplies is not the client's to say here.
  use_distributed_optimizer: ignored,
  overlap_param_gather: ignored,
  log_num_zeros_in_grad: ignored,
  loss_scale: ignored,
  bf16: ignored,
  fp16: ignored,
  min_lr: ignored,
};

function adamw(given: Given): OptimizerSettings {
  const { betas, eps, lr, weight_decay } = readArguments('AdamW', given, adamFields);
  return { kind: 'adamw', lr, beta1: betas[0], beta2: betas[1], eps, weightDecay: weight_decay, ...NO_SGD };
}

function adam(given: Given): OptimizerSettings {
  const fields = { ...adamFields, decoupled_weight_decay: flag(false) };
  const { betas, decoupled_weight_decay, eps, lr, weight_decay } = readArguments('Adam', given, fields);
  const kind = decoupled_weight_decay ? 'adamw' : 'adam';
  return { kind, lr, beta1: betas[0], beta2: betas[1], eps, weightDecay: weight_decay, ...NO_SGD };
}

function sgd(given: Given): OptimizerSettings {
  const fields = { ...common, momentum: number({ min: 0 }, 0), nesterov: flag(false), dampening: number({}, 0) };
  const { dampening, lr, momentum, nesterov, weight_decay } = readArguments('SGD', given, fields);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    const message = `expected a momentum above 0 and a dampening of 0 with \`nesterov\` of SGD but received ${momentum} and ${dampening}`;
    throw new TwinkleError('INVALID_REQUEST', message, { param: 'nesterov' });
  }
  return { kind: 'sgd', lr, beta1: 0, beta2: 0, eps: 0, weightDecay: weight_decay, momentum, nesterov, dampening };
}

/** Megatron's own: its Adam takes the weight decay off the weights. */
function megatron(given: Given): OptimizerSettings {
  const { adam_beta1, adam_beta2, adam_eps, lr, weight_decay } = readArguments(
    'MegatronOptimizer',
    given,
    megatronFields,
  );
  return {
    kind: 'adamw',
    lr,
    beta1: adam_beta1,
    beta2: adam_beta2,
    eps: adam_eps,
    weightDecay: weight_decay,
    ...NO_SGD,
  };
}

const OPTIMIZERS: Readonly<Record<string, (given: Given) => OptimizerSettings>> = {
  AdamW: adamw,
  Adam: adam,
  SGD: sgd,
  MegatronOptimizer: megatron,
  default: megatron,
};

/**
 * Settings of an optimizer.
 * @param name as in torch.optim, or `MegatronOptimizer`, which is `default`, too
 * @param given its arguments; `lr` is 1e-5 (Megatron's 1e-4) and `weight_decay` 0.01 where absent
 * @throws `INVALID_REQUEST`
 */
export function readOptimizer(name: unknown, given: Given): OptimizerSettings {
  return named('optimizer_cls', name, OPTIMIZERS, {})(given);
}
