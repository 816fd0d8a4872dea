/** `--train-shard`: that every model which is trained has ranks to be spread over. */
import { TwinkleError } from '../errors.js';
import { located, type Settings } from './settings.js';
import { trained } from './sleep-while-training.js';
import type { ModelConfig, TrainingConfig } from './types.js';

/** @throws `CONFIG_INVALID` for a model that is trained by one rank */
export function checkTrainShard(
  settings: Settings,
  training: Pick<TrainingConfig, 'devices' | 'ranks' | 'shard'>,
  models: readonly ModelConfig[],
): void {
  if (!training.shard) return;
  const alone = models.find((model) => trained(model) && ranksOf(model, training) < 2);
  if (alone === undefined) return;
  const origin = settings.origin('train-shard');
  const name = alone.servedNames[0] ?? alone.model;
  const onCpus = training.devices === null && alone.placement.accelerator === null;
  const more = onCpus
    ? 'set `--train-ranks 2`'
    : 'name two GPUs or more with `--train-gpus`, and allow as many `--train-ranks`';
  throw new TwinkleError(
    'CONFIG_INVALID',
    `${located(origin)}expected at least 2 ranks that train \`${name}\` for \`${origin.name}\`, which spreads it over them, but received 1; ${more}, or leave it out`,
  );
}

/** As many as there can be; replicas that come to share a device have fewer, which the ranks themselves refuse. */
function ranksOf(model: ModelConfig, { devices, ranks }: Pick<TrainingConfig, 'devices' | 'ranks'>): number {
  const { placement, tensorParallel, pipelineParallel, dataParallel } = model;
  if (devices === null && placement.accelerator === null) return ranks ?? 1;
  return Math.min(ranks ?? Infinity, devices?.length ?? tensorParallel * pipelineParallel * dataParallel);
}
