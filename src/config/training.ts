/** Which devices train, how many ranks, and how much there may be on them. */
import { TwinkleError } from '../errors.js';
import type { DeviceSource } from './accelerator.js';
import { namedDevices } from './devices.js';
import { located, type Settings } from './settings.js';
import type { TrainingConfig } from './types.js';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Asks for devices only when some are named.
 * @throws `CONFIG_INVALID` for more ranks than devices, `DEVICE_MISSING`
 */
export async function compileTraining(
  settings: Settings,
  source: Pick<DeviceSource, 'devices'>,
  env: Env,
): Promise<TrainingConfig & { readonly warnings: readonly string[] }> {
  const ranks = settings.number('train-ranks');
  const limits = {
    maxRuns: settings.number('max-training-runs') as number,
    idleMs: settings.number('training-idle-timeout') as number,
    maxLifeMs: settings.number('max-run-life'),
    maxCheckpointBytes: settings.number('max-checkpoint-bytes'),
  };
  const list = settings.text('train-gpus');
  if (list === null) return { devices: null, ranks, ...limits, warnings: [] };
  const { name } = settings.origin('train-gpus');
  const names = { kind: 'gpu', list, name, instead: 'leave it out' } as const;
  const { devices, warnings } = namedDevices(names, await source.devices(), env);
  if (ranks !== null && ranks > devices.length) {
    const origin = settings.origin('train-ranks');
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${located(origin)}expected at most ${devices.length} for \`${origin.name}\`, one rank on each GPU of \`${name}\`, but received ${ranks}`,
    );
  }
  const chosen = devices.map(({ kind, index, uuid }) => ({ kind, index, uuid }));
  return { devices: chosen, ranks, ...limits, warnings };
}
