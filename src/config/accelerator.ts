/** What the ranks of a model run on: named devices, the kind that bundles or a type ask for, or what this machine (or cluster) has. */
import { TwinkleError } from '../errors.js';
import type { DeviceReport } from '../native/types.js';
import { type DeviceOffer, freeDevices, mergeOffers, namedDevices } from './devices.js';
import type { ModelShape } from './model.js';
import type { OptionKey } from './options.js';
import { acceleratorType, compileHeadAddress, contradiction } from './placement.js';
import type { GroupConfig } from './placement-group-config.js';
import { located, type Settings } from './settings.js';
import type { ModelPlacement, ServeConfig } from './types.js';
import { offeredDevices } from './visibility.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Where to learn of devices. */
export interface DeviceSource {
  /** The device report; called at most once, and only when devices matter. */
  devices(): Promise<DeviceReport>;
  /**
   * Kinds of devices of the cluster that gives them out; null: this machine, whose report is asked. Called at most once, and only when
   * devices matter.
   */
  cluster(address: ServeConfig['address']): Promise<ReadonlySet<'GPU' | 'NPU'> | null>;
}

const NO_OFFER: DeviceOffer = { devices: [], links: [], leftOut: [], warnings: [] };

/**
 * What a rank runs on, and the devices that this machine offers for it.
 * @throws `CONFIG_INVALID` when options contradict each other or the engine, `DEVICE_MISSING`
 */
export async function compileAccelerator(
  settings: Settings,
  shape: ModelShape,
  group: GroupConfig,
  source: DeviceSource,
  env: Env,
): Promise<{ accelerator: ModelPlacement['accelerator']; offer: DeviceOffer }> {
  const named = (['gpus', 'npus'] as const).filter((key) => settings.written(key) !== null);
  const cpu = settings.on('cpu');
  const all = [...named, ...(cpu ? (['cpu'] as const) : [])].map((key) => settings.origin(key).name);
  if (all.length > 1) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `expected one of \`${all.join('` and `')}\` but ${all.length} are set; leave one out`,
    );
  }
  const key = named[0];
  const wanted = wantedAccelerator(settings, group, cpu ? 'cpu' : key);
  if (wanted?.kind === 'NPU' && shape.engine === 'transformers') {
    const origin = settings.origin(wanted.key);
    throw new TwinkleError(
      'CONFIG_INVALID',
      `${located(origin)}expected GPUs or the CPU for engine transformers but \`${origin.name}\` ${wanted.key === 'npus' ? 'is set' : 'asks for NPUs'}; that engine runs on CPU and CUDA`,
    );
  }
  if (key !== undefined) {
    const kind = key === 'gpus' ? 'gpu' : 'npu';
    const { name } = settings.origin(key);
    const names = { kind, list: settings.text(key) as string, name, instead: 'say --cpu' } as const;
    return { accelerator: wanted?.kind ?? null, offer: namedDevices(names, await source.devices(), env) };
  }
  // The demo runs on the CPU unless devices are asked for: it is not worth gigabytes of CUDA wheels.
  const undecided = !cpu && group.bundles === null && shape.engine !== 'mock' && !shape.unnamed;
  if (wanted === null && !undecided) return { accelerator: null, offer: NO_OFFER };
  const kinds = await source.cluster(compileHeadAddress(settings));
  const first = (has: (kind: 'GPU' | 'NPU') => boolean): 'GPU' | 'NPU' | null =>
    has('GPU') ? 'GPU' : shape.engine === 'vllm' && has('NPU') ? 'NPU' : null;
  if (kinds !== null) return { accelerator: wanted?.kind ?? first((kind) => kinds.has(kind)), offer: NO_OFFER };
  const report = await source.devices();
  const offers = (kind: 'GPU' | 'NPU'): boolean =>
    offeredDevices(report.devices, kind === 'GPU' ? 'gpu' : 'npu', env).devices.length > 0;
  const accelerator = wanted?.kind ?? first(offers);
  if (accelerator === null) return { accelerator, offer: NO_OFFER };
  return { accelerator, offer: freeDevices([accelerator === 'GPU' ? 'gpu' : 'npu'], report, env) };
}

/** The kind that was asked for and by what; null: none was. Throws where two answers differ. */
function wantedAccelerator(
  settings: Settings,
  group: GroupConfig,
  flag: 'gpus' | 'npus' | 'cpu' | undefined,
): { kind: 'GPU' | 'NPU'; key: OptionKey } | null {
  const type = acceleratorType(settings);
  const says: { kind: 'GPU' | 'NPU' | null; key: OptionKey; words: string }[] = [];
  if (flag !== undefined) {
    const kind = flag === 'cpu' ? null : flag === 'gpus' ? 'GPU' : 'NPU';
    says.push({ kind, key: flag, words: flag === 'cpu' ? 'is set' : `names ${kind}s` });
  }
  if (group.bundles !== null) {
    const words = group.accelerator === null ? 'has bundles without devices' : `asks for ${group.accelerator}s`;
    says.push({ kind: group.accelerator, key: 'placement-group-config', words });
  }
  if (type !== null) {
    const kind = type.startsWith('Ascend') ? 'NPU' : 'GPU';
    says.push({ kind, key: 'accelerator-type', words: `asks for ${kind}s of type ${type}` });
  }
  const [first] = says;
  if (first === undefined) return null;
  const other = says.find(({ kind }) => kind !== first.kind);
  if (other !== undefined) throw contradiction(settings, first.key, first.words, other.key, other.words);
  return first.kind === null ? null : { kind: first.kind, key: first.key };
}

/**
 * What this machine offers to ranks that want such devices: those that flags name, or all that are free; nothing where a cluster gives them out.
 * @param kinds that are wanted; empty: all ranks run on CPUs
 * @throws `CONFIG_INVALID` for named devices that none of them wants, or none allowed where some are wanted, `DEVICE_MISSING`
 */
export async function offerFor(
  settings: Settings,
  kinds: ReadonlySet<'GPU' | 'NPU'>,
  source: DeviceSource,
  env: Env,
): Promise<DeviceOffer> {
  const named = (['gpus', 'npus'] as const).filter((key) => settings.written(key) !== null);
  for (const key of named) {
    if (kinds.has(key === 'gpus' ? 'GPU' : 'NPU')) continue;
    const { name } = settings.origin(key);
    throw new TwinkleError(
      'CONFIG_INVALID',
      `\`${name}\` names devices, and no application asks for such; leave it out`,
    );
  }
  if (kinds.size === 0) return NO_OFFER;
  if (settings.on('cpu')) {
    const { name } = settings.origin('cpu');
    throw new TwinkleError(
      'CONFIG_INVALID',
      `\`${name}\` allows no accelerator, and applications ask for ${[...kinds].sort().join('s and ')}s; leave it out, or write device_type CPU`,
    );
  }
  if (named.length === 0 && (await source.cluster(compileHeadAddress(settings))) !== null) return NO_OFFER;
  const report = await source.devices();
  const offers = [...kinds].sort().map((one): DeviceOffer => {
    const key = one === 'GPU' ? 'gpus' : 'npus';
    const kind = one === 'GPU' ? 'gpu' : 'npu';
    if (settings.written(key) === null) return freeDevices([kind], report, env);
    const { name } = settings.origin(key);
    return namedDevices({ kind, list: settings.text(key) as string, name, instead: 'leave it out' }, report, env);
  });
  return { ...mergeOffers(offers), warnings: offers.flatMap(({ warnings }) => warnings) };
}
