/** The placement part of the configuration: strategy, form and bundles of a model's groups, and who gives out devices. Pure. */
import { TwinkleError } from '../errors.js';
import type { ModelShape } from './model.js';
import type { OptionKey } from './options.js';
import type { GroupConfig } from './placement-group-config.js';
import { invalid, located, type Settings } from './settings.js';
import type { ModelPlacement, PlacementStrategy, ServeConfig } from './types.js';

/** A placement and what the user should hear. */
export interface PlacementResult {
  readonly placement: ModelPlacement;
  readonly warnings: readonly string[];
}

/**
 * Relate the options.
 * @throws `CONFIG_INVALID` when two of them contradict each other
 */
export function compilePlacement(
  settings: Settings,
  shape: ModelShape,
  group: GroupConfig,
  accelerator: ModelPlacement['accelerator'],
): PlacementResult {
  const dataParallel = settings.choice('data-parallel-placement') as ModelPlacement['dataParallel'];
  const { strategy, warnings } = chooseStrategy(settings, shape.dataParallel, dataParallel, group.strategy);
  return {
    placement: {
      accelerator,
      acceleratorType: acceleratorType(settings),
      strategy,
      dataParallel,
      bundles: group.bundles,
      replicaCpus: settings.number('replica-cpus'),
    },
    warnings,
  };
}

/** The type as written, or null. A `:` would make another resource of it. */
export function acceleratorType(settings: Settings): string | null {
  const type = settings.text('accelerator-type');
  const written = settings.written('accelerator-type');
  if (type !== null && written !== null && !/^[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/.test(type)) {
    throw invalid(written, 'a type such as H100, L4 or Ascend910B4');
  }
  return type;
}

function chooseStrategy(
  settings: Settings,
  replicas: number,
  form: ModelPlacement['dataParallel'],
  ofConfig: PlacementStrategy | null,
): { strategy: PlacementStrategy; warnings: readonly string[] } {
  const flag = settings.written('placement') === null ? null : (settings.choice('placement') as PlacementStrategy);
  if (flag !== null && ofConfig !== null && flag !== ofConfig) {
    throw contradiction(settings, 'placement', `is ${flag}`, 'placement-group-config', `says ${ofConfig}`);
  }
  const written = flag ?? ofConfig;
  if (replicas === 1) return { strategy: written ?? 'PACK', warnings: [] };
  // Ray documents the one and, since 2.60, does the other.
  const strategy = form === 'gang' ? 'PACK' : 'STRICT_PACK';
  if (written === null || written === strategy) return { strategy, warnings: [] };
  const name = settings.origin(flag === null ? 'placement-group-config' : 'placement').name;
  const why =
    form === 'gang'
      ? 'one group holds all replicas and packs them'
      : 'each replica of data parallelism stays on one node';
  return { strategy, warnings: [`\`${name}\`: ${strategy} instead of ${written} with -dp ${replicas}: ${why}`] };
}

/**
 * Who gives out devices. What shapes the offer of this machine means that this process offers it.
 * @throws `CONFIG_INVALID` when the head is asked for and the offer is shaped
 */
export function compileHeadAddress(settings: Settings): ServeConfig['address'] {
  const address = settings.written('address') === null ? null : (settings.choice('address') as 'auto' | 'local');
  const shaping = (['gpus', 'npus', 'num-cpus'] as const).find((key) => settings.written(key) !== null);
  if (shaping === undefined) return address;
  if (address === 'auto') {
    throw contradiction(settings, 'address', 'asks the head that runs here', shaping, 'says what this process offers');
  }
  return 'local';
}

/** Two options that cannot both hold. */
export function contradiction(
  settings: Settings,
  one: OptionKey,
  says: string,
  other: OptionKey,
  otherSays: string,
): TwinkleError {
  const origin = settings.origin(one);
  return new TwinkleError(
    'CONFIG_INVALID',
    `${located(origin)}\`${origin.name}\` ${says} but \`${settings.origin(other).name}\` ${otherSays}; leave one out`,
  );
}
