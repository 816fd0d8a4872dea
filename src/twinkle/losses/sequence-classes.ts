/** The classes of losses of whole sequences: of pairs, and of embeddings. Arguments and defaults are those of the client's classes. */
import { TwinkleError } from '../../errors.js';
import { flag, type Given, maybe, number, only, readArguments, whole, word } from '../arguments.js';
import type { LossSpec } from './spec.js';
import { ignoreIndex } from './token-classes.js';

const BY_ITSELF = { reduction: 'own', length: 0 } as const;

const refused = (message: string, param: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/** Gains over a reference. */
export function dpoLoss(given: Given): LossSpec {
  const { beta, label_smoothing, loss_type, reference_free, sft_weight } = readArguments('DPOLoss', given, {
    beta: number({ min: 0 }, 0.1),
    label_smoothing: number({ min: 0, max: 1 }, 0),
    loss_type: word(['sigmoid', 'hinge', 'ipo', 'kto_pair'], 'sigmoid'),
    reference_free: flag(false),
    sft_weight: number({ min: 0 }, 0),
    ignore_index: ignoreIndex,
  });
  if (label_smoothing > 0 && loss_type !== 'sigmoid') {
    const message = `expected \`loss_type\` "sigmoid" with \`label_smoothing\` of DPOLoss but received "${loss_type}"; leave one of them out`;
    throw refused(message, 'label_smoothing');
  }
  if (loss_type === 'ipo' && beta === 0)
    throw refused('expected a number above 0 for `beta` of DPOLoss with `loss_type` "ipo" but received 0', 'beta');
  const config = { beta, label_smoothing, loss_type, reference_free: Number(reference_free), sft_weight };
  return { name: 'DPOLoss', wire: 'twinkle.dpo', config, ...BY_ITSELF };
}

/** Mean log-probabilities, a margin apart. */
export function simpoLoss(given: Given): LossSpec {
  const fields = { beta: number({ min: 0 }, 2.5), gamma: number({ min: 0 }, 0.5), ignore_index: ignoreIndex };
  const { beta, gamma } = readArguments('SimPOLoss', given, fields);
  return { name: 'SimPOLoss', wire: 'twinkle.simpo', config: { beta, gamma }, ...BY_ITSELF };
}

/** Log-probabilities, and the likelihood of the chosen. */
export function cpoLoss(given: Given): LossSpec {
  const fields = { beta: number({ min: 0 }, 0.1), bc_coef: number({ min: 0 }, 1), ignore_index: ignoreIndex };
  const { bc_coef, beta } = readArguments('CPOLoss', given, fields);
  return { name: 'CPOLoss', wire: 'twinkle.cpo', config: { beta, bc_coef }, ...BY_ITSELF };
}

/** Odds, and the likelihood of the chosen. */
export function orpoLoss(given: Given): LossSpec {
  const { lambda_orpo } = readArguments('ORPOLoss', given, {
    lambda_orpo: number({ min: 0 }, 0.1),
    ignore_index: ignoreIndex,
  });
  return { name: 'ORPOLoss', wire: 'twinkle.orpo', config: { lambda_orpo }, ...BY_ITSELF };
}

/** Embeddings of anchors near those of their positives. */
export function infonceLoss(given: Given): LossSpec {
  const { fake_neg_margin, hard_negatives, include_dd, include_qq, mask_fake_negative, temperature, use_batch } =
    readArguments('InfonceLoss', given, {
      temperature: number({ above: 0 }, 0.1),
      use_batch: flag(true),
      hard_negatives: maybe(whole({ min: 0 })),
      mask_fake_negative: flag(false),
      fake_neg_margin: number({ min: 0 }, 0.1),
      include_qq: flag(false),
      include_dd: flag(false),
      process_group: only([null], 'which ranks there are is not the client’s to say'),
    });
  if (mask_fake_negative && fake_neg_margin === 0) {
    throw refused(
      'expected a number above 0 for `fake_neg_margin` of InfonceLoss with `mask_fake_negative` but received 0',
      'fake_neg_margin',
    );
  }
  const config = {
    temperature,
    use_batch: Number(use_batch),
    mask_fake_negative: Number(mask_fake_negative),
    fake_neg_margin,
    include_qq: Number(include_qq),
    include_dd: Number(include_dd),
    ...(hard_negatives === null ? {} : { hard_negatives }),
  };
  return { name: 'InfonceLoss', wire: 'twinkle.infonce', config, ...BY_ITSELF };
}
