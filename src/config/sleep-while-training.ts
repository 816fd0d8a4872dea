/** `--sleep-while-training`: which models it is possible for, and what their engines are told. */
import { TwinkleError } from '../errors.js';
import { located, type Settings } from './settings.js';
import type { ModelConfig } from './types.js';

/**
 * The models, those that take turns with their training ranks as engines that can sleep.
 * @throws `CONFIG_INVALID` where no turns can be taken: devices of the ranks' own, all of a model trained, another engine, no GPU, nothing trained
 */
export function withSleep(models: readonly ModelConfig[], settings: Settings): readonly ModelConfig[] {
  if (!settings.on('sleep-while-training')) return models;
  const origin = settings.origin('sleep-while-training');
  const refuse = (why: string): TwinkleError =>
    new TwinkleError('CONFIG_INVALID', `${located(origin)}\`${origin.name}\` ${why}`);
  if (settings.text('train-gpus') !== null) {
    const { name } = settings.origin('train-gpus');
    throw refuse(`shares devices, but received devices of the ranks' own (\`${name}\`) too; leave one of them out`);
  }
  if (settings.on('train-full'))
    throw refuse(
      'moves no optimizer off the devices, and that of `--train-full` takes most of them; leave one of them out',
    );
  const sleeping = models.map((model) => (trained(model) ? asleepBetween(model, refuse) : model));
  if (models.some(trained)) return sleeping;
  throw refuse('expected a model that can be trained, but none was started with `--enable-lora`; add it');
}

/** Whether a model can be trained. Engine mock does whatever is around engines. */
export const trained = ({ engine, engineArgs }: ModelConfig): boolean =>
  engine !== 'vllm' || engineArgs.enable_lora === true;

function asleepBetween(model: ModelConfig, refuse: (why: string) => TwinkleError): ModelConfig {
  const { engine, engineArgs, placement } = model;
  const name = model.servedNames[0] ?? model.model;
  if (engine === 'transformers')
    throw refuse(
      `expected engine vllm for \`${name}\` but received ${engine}, which cannot sleep; say \`--engine vllm\``,
    );
  if (engine === 'mock') return { ...model, engineArgs: { sleep_ms: 0, ...engineArgs } };
  if (placement.accelerator === null)
    throw refuse(`expected GPUs for \`${name}\` but it runs on CPUs, where vLLM cannot sleep; leave it out`);
  if (engineArgs.enable_sleep_mode === false)
    throw refuse(
      `needs vLLM's sleep mode but received \`--no-enable-sleep-mode\` for \`${name}\`; leave one of them out`,
    );
  return { ...model, engineArgs: { ...engineArgs, enable_sleep_mode: true } };
}
