/** Which devices train, how many ranks, and how much there may be on them. */
import { TwinkleError } from '../errors.js';
import { type BucketPlace, readBucketUrl } from '../util/bucket-url.js';
import type { DeviceSource } from './accelerator.js';
import { namedDevices } from './devices.js';
import { located, type Settings } from './settings.js';
import type { TrainingConfig } from './types.js';

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Asks for devices only when some are named.
 * @throws `CONFIG_INVALID` for more ranks than devices, options that exclude each other, and a store that is no bucket, `DEVICE_MISSING`
 */
export async function compileTraining(
  settings: Settings,
  source: Pick<DeviceSource, 'devices'>,
  env: Env,
): Promise<TrainingConfig & { readonly warnings: readonly string[] }> {
  const ranks = settings.number('train-ranks');
  const sleepWhileTraining = settings.on('sleep-while-training');
  const limits = {
    shard: settings.on('train-shard'),
    full: fullAllowed(settings),
    maxRuns: settings.number('max-training-runs') as number,
    idleMs: settings.number('training-idle-timeout') as number,
    maxLifeMs: settings.number('max-run-life'),
    maxCheckpointBytes: settings.number('max-checkpoint-bytes'),
    checkpointStore: readStore(settings),
  };
  const list = settings.text('train-gpus');
  if (list === null) return { devices: null, sleepWhileTraining, ranks, ...limits, warnings: [] };
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
  return { devices: chosen, sleepWhileTraining, ranks, ...limits, warnings };
}

/** @throws `CONFIG_INVALID` beside what it cannot be with */
function fullAllowed(settings: Settings): boolean {
  if (!settings.on('train-full')) return false;
  if (!settings.on('train-shard')) return true;
  const [full, shard] = [settings.origin('train-full'), settings.origin('train-shard')];
  throw new TwinkleError(
    'CONFIG_INVALID',
    `${located(full)}expected one of \`${full.name}\` and \`${shard.name}\`: a model that is spread over ranks is trained by LoRA alone; leave one out`,
  );
}

function readStore(settings: Settings): BucketPlace | null {
  const url = settings.text('checkpoint-store');
  if (url === null) return null;
  const place = readBucketUrl(url);
  if (place !== null) return place;
  const origin = settings.origin('checkpoint-store');
  const shown = JSON.stringify(url.slice(0, 200));
  throw new TwinkleError(
    'CONFIG_INVALID',
    `${located(origin)}expected s3://bucket/prefix for \`${origin.name}\` but received ${shown}; leave out empty parts, \`.\` and \`..\``,
  );
}
