/** What clients of Twinkle's server say in Tinker's requests beyond Tinker: the base model's answer, and DPO. Pure. */
import { TwinkleError } from '../../errors.js';
import type { TrainInput, TrainWork } from '../../protocol/training.js';

type Work = Omit<TrainWork, 'run'>;

/** Losses of the ranks that are no business of Tinker's clients. */
const NAMESPACE = 'twinkle.';

/**
 * The work in the words of the ranks.
 * @throws `INVALID_REQUEST` for losses that only another API has
 */
export function inRanksWords(work: Work): Work {
  if (work.loss.startsWith(NAMESPACE)) {
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected a loss of the Tinker SDK but received ${JSON.stringify(work.loss.slice(0, 80))}`,
      {
        param: 'loss_fn',
      },
    );
  }
  const { disable_lora: plain, ...config } = work.config;
  if (work.loss === 'importance_sampling' && work.inputs.some(({ name }) => name === 'ref_logps'))
    return preferences(work);
  if (plain === undefined || plain === 0) return plain === undefined ? work : { ...work, config };
  if (work.loss !== 'cross_entropy')
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected cross_entropy with \`disable_lora\` but received ${work.loss}`,
      {
        param: 'loss_fn_config',
      },
    );
  return { ...work, loss: 'twinkle.cross_entropy', config: { ...config, disable_lora: 1 } };
}

const BETA = 0.1;

/** Pairs, the chosen one first, whose references came with them: weights say which tokens count. */
function preferences(work: Work): Work {
  const { dpo_beta: beta = BETA, dpo_sft_weight: weight = 0, ...others } = work.config;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined)
    throw new TwinkleError('INVALID_REQUEST', `DPO takes dpo_beta and dpo_sft_weight but received \`${unknown}\``, {
      param: 'loss_fn_config',
    });
  const named = new Map(work.inputs.map((input) => [input.name, input]));
  const as = (name: string, from: string): TrainInput[] => {
    const found = named.get(from);
    return found === undefined ? [] : [{ ...found, name }];
  };
  return {
    ...work,
    loss: 'twinkle.dpo',
    config: { beta, sft_weight: weight, label_smoothing: 0, loss_type: 'sigmoid', reference_free: 0 },
    inputs: [...as('target_tokens', 'target_tokens'), ...as('mask', 'weights'), ...as('ref_logprobs', 'ref_logps')],
  };
}
