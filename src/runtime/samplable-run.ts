/** Which runs of a model its engines could never sample from: that is known before hours of training, so it is said before. Pure. */
import type { ModelConfig } from '../config/types.js';
import { VLLM_ARGS } from '../engines/vllm-args.js';
import { TwinkleError } from '../errors.js';
import type { NewRun } from '../training/types.js';

/** vLLM's own default. */
const MAX_LORA_RANK = 16;
/** What models of vLLM that take adapters call their output layers. */
const HEADS: ReadonlySet<unknown> = new Set(['lm_head', 'head', 'output', 'output_layer', 'proj_out']);

/** @throws `UNSUPPORTED_PARAMETER` for a rank, or an adapter of the output layer, that vLLM was started without */
export function checkSamplable(
  { engine, engineArgs, servedNames }: Pick<ModelConfig, 'engine' | 'engineArgs' | 'servedNames'>,
  { rank, unembed }: Pick<NewRun, 'rank' | 'unembed'>,
): void {
  // Without an adapter there is no rank.
  if (engine !== 'vllm' || rank === 0) return;
  const name = servedNames[0] ?? '';
  const largest = Number(engineArgs.max_lora_rank ?? MAX_LORA_RANK);
  if (rank > largest) {
    throw refused(
      'lora_config.rank',
      `model \`${name}\` samples from ranks up to ${largest}, so never from a run of rank ${rank}: ${adviceFor(rank)}`,
    );
  }
  const { lora_target_modules: targets } = engineArgs;
  if (!unembed || !Array.isArray(targets) || targets.some((target) => HEADS.has(target))) return;
  throw refused(
    'lora_config.train_unembed',
    `model \`${name}\` samples with no adapter of its output layer (--lora-target-modules ${targets.join(' ')}): create the run with train_unembed=False, or start the server with lm_head among them`,
  );
}

function adviceFor(rank: number): string {
  const choices = (VLLM_ARGS.max_lora_rank?.choices ?? []).map(Number).sort((a, b) => a - b);
  const fits = choices.find((choice) => choice >= rank);
  if (fits === undefined) return `take a rank of at most ${choices.at(-1)} (--max-lora-rank)`;
  return `start the server with --max-lora-rank ${fits}, or take a smaller rank`;
}

const refused = (param: string, message: string): TwinkleError =>
  new TwinkleError('UNSUPPORTED_PARAMETER', message, { param });
