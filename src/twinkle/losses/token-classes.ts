/** The classes of losses of tokens: cross entropy, and those of policies. Arguments and defaults are those of the client's classes. */
import { flag, type Given, maybe, number, only, readArguments, whole, word } from '../arguments.js';
import type { LossSpec, Reduction } from './spec.js';
import type { WireName } from './wire.js';

/** Of all classes. */
export const ignoreIndex = only([-100], 'labels of -100 are those that do not count');

const share = number({ min: 0 }, 0.2);
const factor = number({ min: 0 }, 0);
const reduction = (absent: 'mean' | 'sum') => word(['mean', 'sum'], absent);

function crossEntropy(name: string, dft: boolean, reduction: 'mean' | 'sum'): LossSpec {
  const wire = 'twinkle.cross_entropy';
  return {
    name,
    wire,
    config: { dft: Number(dft) },
    reduction: reduction === 'sum' ? 'token-sum' : 'token-mean',
    length: 0,
  };
}

/** Cross entropy, a mean over tokens unless a sum is asked for. */
export function crossEntropyLoss(given: Given): LossSpec {
  const fields = { ignore_index: ignoreIndex, reduction: reduction('mean'), dft: flag(false) };
  const { dft, reduction: by } = readArguments('CrossEntropyLoss', given, fields);
  return crossEntropy('CrossEntropyLoss', dft, by);
}

/** The same: how much memory it takes is not the client's to say. */
export function chunkedCrossEntropyLoss(given: Given): LossSpec {
  const fields = {
    chunk_size: maybe(whole({ min: 1 })),
    ignore_index: ignoreIndex,
    reduction: reduction('mean'),
    dft: flag(false),
  };
  const { dft, reduction: by } = readArguments('ChunkedCrossEntropyLoss', given, fields);
  return crossEntropy('ChunkedCrossEntropyLoss', dft, by);
}

/** The same, as a sum unless a mean is asked for. */
export function ligerCrossEntropyLoss(given: Given): LossSpec {
  const fields = {
    ignore_index: ignoreIndex,
    reduction: reduction('sum'),
    label_smoothing: only([0], 'labels are not smoothed here'),
    softcap: only([null], 'logits are as the model makes them'),
  };
  const { reduction: by } = readArguments('LigerFusedLinearCrossEntropyLoss', given, fields);
  return crossEntropy('LigerFusedLinearCrossEntropyLoss', false, by);
}

/** Of every class of a policy's loss, whether its formula uses it or not. */
const policyFields = {
  epsilon: share,
  epsilon_high: maybe(number({ min: 0 })),
  beta: factor,
  entropy_coef: factor,
  ignore_index: ignoreIndex,
};

type Policy = { epsilon: number; epsilon_high: number | null; beta: number; entropy_coef: number };

const clipped = ({ beta, entropy_coef, epsilon, epsilon_high }: Policy) => ({
  epsilon,
  epsilon_high: epsilon_high ?? epsilon,
  beta,
  entropy_coef,
});

const clippedClass =
  (name: string, wire: WireName & ('twinkle.grpo' | 'twinkle.gspo'), reduction: Reduction) =>
  (given: Given): LossSpec => ({
    name,
    wire,
    config: clipped(readArguments(name, given, policyFields)),
    reduction,
    length: 0,
  });

/** Clipped ratios of tokens. */
export const grpoLoss = clippedClass('GRPOLoss', 'twinkle.grpo', 'sequence-mean');

/** As GRPO, by the mean ratio of a sequence. */
export const gspoLoss = clippedClass('GSPOLoss', 'twinkle.gspo', 'sequence-mean');

/** As GRPO, as a mean over tokens. */
export const bnpoLoss = clippedClass('BNPOLoss', 'twinkle.grpo', 'token-mean');

/** As GRPO, as either mean. */
export function ppoLoss(given: Given): LossSpec {
  const modes = word(['token-mean', 'seq-mean-token-mean'], 'token-mean');
  const { loss_agg_mode, ...policy } = readArguments('PPOLoss', given, { ...policyFields, loss_agg_mode: modes });
  const reduction = loss_agg_mode === 'token-mean' ? 'token-mean' : 'sequence-mean';
  return { name: 'PPOLoss', wire: 'twinkle.grpo', config: clipped(policy), reduction, length: 0 };
}

/** As GRPO, as a sum over sequences of one length. */
export function drGrpoLoss(given: Given): LossSpec {
  const fields = { ...policyFields, max_completion_length: whole({ min: 1 }, 1024) };
  const { max_completion_length, ...policy } = readArguments('DRGRPOLoss', given, fields);
  return {
    name: 'DRGRPOLoss',
    wire: 'twinkle.grpo',
    config: clipped(policy),
    reduction: 'batch-length',
    length: max_completion_length,
  };
}

/** Soft gates instead of clipping. */
export function sapoLoss(given: Given): LossSpec {
  const fields = { ...policyFields, tau_pos: number({ above: 0 }, 1), tau_neg: number({ above: 0 }, 1) };
  const { beta, entropy_coef, tau_neg, tau_pos } = readArguments('SAPOLoss', given, fields);
  return {
    name: 'SAPOLoss',
    wire: 'twinkle.sapo',
    config: { tau_pos, tau_neg, beta, entropy_coef },
    reduction: 'sequence-mean',
    length: 0,
  };
}

/** Ratios that are held constant, and from above. */
export function cispoLoss(given: Given): LossSpec {
  const { beta, entropy_coef, epsilon } = readArguments('CISPOLoss', given, policyFields);
  return {
    name: 'CISPOLoss',
    wire: 'twinkle.cispo',
    config: { epsilon, beta, entropy_coef },
    reduction: 'batch-items',
    length: 0,
  };
}
