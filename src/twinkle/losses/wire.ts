/** Losses as the ranks know them: `TrainWork.loss`, and the inputs of each. `python-workers/twinkle_worker/training/twinkle_losses.py` is the other side. */

/**
 * What a loss is a function of: single tokens, tokens beside what a policy did, pairs of sequences (chosen, rejected), or embeddings.
 */
export type Family = 'tokens' | 'policy' | 'pairs' | 'contrast';

/** An input of a datum: int64 [N] for `target_tokens`, float32 [1] for `anchor`, float32 [N] for the others. */
export type InputName = 'target_tokens' | 'weights' | 'mask' | 'logprobs' | 'ref_logprobs' | 'advantages' | 'anchor';

interface WireSpec {
  readonly family: Family;
  /** Those that it takes; `logprobs` only off policy, `ref_logprobs` only where its config wants a reference. */
  readonly inputs: readonly InputName[];
}

const POLICY: readonly InputName[] = ['target_tokens', 'weights', 'logprobs', 'ref_logprobs', 'advantages'];
const PAIRS: readonly InputName[] = ['target_tokens', 'mask'];

/** By wire name. Any but the embeddings' takes `temperature`, `entropies` 0|1 in its config; all take `disable_lora` 0|1, forward only. */
export const WIRE = {
  /** config: `dft` 0|1 */
  'twinkle.cross_entropy': { family: 'tokens', inputs: ['target_tokens', 'weights'] },
  /** config: `epsilon`, `epsilon_high`, `beta`, `entropy_coef`, `on_policy` 0|1 */
  'twinkle.grpo': { family: 'policy', inputs: POLICY },
  /** config: `tau_pos`, `tau_neg`, `beta`, `entropy_coef`, `on_policy` 0|1 */
  'twinkle.sapo': { family: 'policy', inputs: POLICY },
  /** config: `epsilon`, `beta`, `entropy_coef`, `on_policy` 0|1 */
  'twinkle.cispo': { family: 'policy', inputs: POLICY },
  /** config: as of grpo */
  'twinkle.gspo': { family: 'policy', inputs: [...POLICY, 'mask'] },
  /** config: `beta`, `label_smoothing`, `loss_type`, `reference_free` 0|1, `sft_weight` */
  'twinkle.dpo': { family: 'pairs', inputs: [...PAIRS, 'ref_logprobs'] },
  /** config: `beta`, `gamma` */
  'twinkle.simpo': { family: 'pairs', inputs: PAIRS },
  /** config: `beta`, `bc_coef` */
  'twinkle.cpo': { family: 'pairs', inputs: PAIRS },
  /** config: `lambda_orpo` */
  'twinkle.orpo': { family: 'pairs', inputs: PAIRS },
  /** config: `temperature` of similarities, `use_batch`, `mask_fake_negative`, `include_qq`, `include_dd` 0|1, `fake_neg_margin`, `hard_negatives` where set */
  'twinkle.infonce': { family: 'contrast', inputs: ['anchor'] },
  /** No loss; forward only. */
  'twinkle.embedding': { family: 'contrast', inputs: [] },
} as const satisfies Record<string, WireSpec>;

/** A key of {@link WIRE}. */
export type WireName = keyof typeof WIRE;
