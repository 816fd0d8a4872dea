/** Loss classes by their names, and by the client's short ones. */
import { type Given, named } from '../arguments.js';
import { cpoLoss, dpoLoss, infonceLoss, orpoLoss, simpoLoss } from './sequence-classes.js';
import type { LossSpec } from './spec.js';
import {
  bnpoLoss,
  chunkedCrossEntropyLoss,
  cispoLoss,
  crossEntropyLoss,
  drGrpoLoss,
  grpoLoss,
  gspoLoss,
  ligerCrossEntropyLoss,
  ppoLoss,
  sapoLoss,
} from './token-classes.js';

type Reader = (given: Given) => LossSpec;

const CLASSES: Readonly<Record<string, Reader>> = {
  CrossEntropyLoss: crossEntropyLoss,
  ChunkedCrossEntropyLoss: chunkedCrossEntropyLoss,
  LigerFusedLinearCrossEntropyLoss: ligerCrossEntropyLoss,
  GRPOLoss: grpoLoss,
  PPOLoss: ppoLoss,
  GSPOLoss: gspoLoss,
  SAPOLoss: sapoLoss,
  CISPOLoss: cispoLoss,
  BNPOLoss: bnpoLoss,
  DRGRPOLoss: drGrpoLoss,
  DPOLoss: dpoLoss,
  SimPOLoss: simpoLoss,
  CPOLoss: cpoLoss,
  ORPOLoss: orpoLoss,
  InfonceLoss: infonceLoss,
};

const SHORT: Readonly<Record<string, Reader>> = {
  cross_entropy: crossEntropyLoss,
  chunked_cross_entropy: chunkedCrossEntropyLoss,
  liger_fused_linear_cross_entropy: ligerCrossEntropyLoss,
  grpo: grpoLoss,
  ppo: ppoLoss,
  gspo: gspoLoss,
  sapo: sapoLoss,
  cispo: cispoLoss,
  bnpo: bnpoLoss,
  dr_grpo: drGrpoLoss,
  dpo: dpoLoss,
  simpo: simpoLoss,
  cpo: cpoLoss,
  orpo: orpoLoss,
  infonce: infonceLoss,
};

const NO_LOGITS = 'it compares whole rows of logits, which are never held';
const NO_VALUES = 'there is no head of values to train';
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  MSELoss: NO_LOGITS,
  mse: NO_LOGITS,
  GKDLoss: NO_LOGITS,
  gkd: NO_LOGITS,
  PPOValueLoss: NO_VALUES,
  ppo_value: NO_VALUES,
};

/**
 * A loss.
 * @param name a class of `twinkle.loss`, or its short name
 * @param given its arguments
 * @throws `INVALID_REQUEST`
 */
export function readLoss(name: unknown, given: Given): LossSpec {
  const short = typeof name === 'string' && Object.hasOwn(SHORT, name) ? SHORT[name] : undefined;
  return (short ?? named('loss_cls', name, CLASSES, IMPOSSIBLE))(given);
}

/** What an adapter trains by until a loss is set. */
export const DEFAULT_LOSS: LossSpec = crossEntropyLoss({ reduction: 'sum' });
