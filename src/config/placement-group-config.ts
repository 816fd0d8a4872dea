/**
 * Reads `placement-group-config`, the bundles of a replica in the form of Ray Serve LLM. Knows what ranks need of bundles: one device each.
 * What a bundle may be in itself (names, amounts) is checked when its group is compiled.
 */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import { invalid, located, type Settings, type Written } from './settings.js';
import type { Bundle, PlacementStrategy } from './types.js';

const KEYS = ['bundles', 'bundle_per_worker', 'strategy'] as const;
const STRATEGIES: readonly unknown[] = ['PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'];
const DEVICES = ['GPU', 'NPU'] as const;

/** What was written, or nulls. */
export interface GroupConfig {
  readonly bundles: readonly Bundle[] | null;
  readonly strategy: PlacementStrategy | null;
  /** The kind of device in the bundles; null: they are CPUs, or none were written. */
  readonly accelerator: 'GPU' | 'NPU' | null;
}

/**
 * Read it.
 * @param ranks of a replica: each needs a bundle with one device, or any bundle when none has devices
 * @throws `USAGE` (flag) or `CONFIG_INVALID` for unknown keys, no bundles, too few of them or more than one device in one
 */
export function readGroupConfig(settings: Settings, ranks: number): GroupConfig {
  const config = settings.object('placement-group-config');
  const written = settings.written('placement-group-config');
  if (config === null || written === null) return { bundles: null, strategy: null, accelerator: null };
  for (const key of Object.keys(config)) {
    if ((KEYS as readonly string[]).includes(key)) continue;
    throw wrong(written, `has the unknown key "${key}"${didYouMean(key, KEYS)}`);
  }
  const { strategy } = config;
  if (strategy !== undefined && !STRATEGIES.includes(strategy)) {
    throw wrong(written, `has strategy ${JSON.stringify(strategy)}; write one of ${STRATEGIES.join(', ')}`);
  }
  const bundles = readBundles(config, ranks, written);
  return {
    bundles,
    strategy: (strategy as PlacementStrategy | undefined) ?? null,
    accelerator: kindOf(bundles, ranks, written),
  };
}

function readBundles(config: Readonly<Record<string, unknown>>, ranks: number, written: Written): Bundle[] {
  const { bundles, bundle_per_worker: perWorker } = config;
  if ((bundles === undefined) === (perWorker === undefined)) {
    throw wrong(
      written,
      `needs exactly one of bundles (each written out) and bundle_per_worker (one, taken for each of ${ranks} ranks)`,
    );
  }
  if (perWorker !== undefined) return new Array<Bundle>(ranks).fill(bundle(perWorker, 'bundle_per_worker', written));
  if (!Array.isArray(bundles) || bundles.length === 0) throw wrong(written, 'needs a list of objects in bundles');
  return bundles.map((value, index) => bundle(value, `bundles[${index}]`, written));
}

function bundle(value: unknown, where: string, written: Written): Bundle {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(written, `needs an object such as {"GPU": 1} in ${where} but has ${JSON.stringify(value)}`);
  }
  const amounts = Object.entries(value).map(([name, amount]: [string, unknown]): [string, number] => {
    if (typeof amount === 'number' && Number.isFinite(amount) && amount >= 0) return [name, amount];
    throw wrong(written, `needs a number of at least 0 for ${name} of ${where} but has ${JSON.stringify(amount)}`);
  });
  const present = amounts.filter(([, amount]) => amount > 0);
  if (present.length === 0) throw wrong(written, `has nothing in ${where}`);
  const devices = present.filter(([name]) => (DEVICES as readonly string[]).includes(name));
  if (devices.length > 1 || devices.some(([, amount]) => amount > 1)) {
    throw wrong(written, `has more than one device in ${where}; each rank gets one: write a bundle for each rank`);
  }
  return Object.fromEntries(present);
}

function kindOf(bundles: readonly Bundle[], ranks: number, written: Written): 'GPU' | 'NPU' | null {
  const [kind, other] = DEVICES.filter((name) => bundles.some((item) => name in item));
  if (other !== undefined) throw wrong(written, 'mixes GPUs and NPUs; the ranks of a replica use one kind');
  const able = kind === undefined ? bundles.length : bundles.filter((item) => kind in item).length;
  if (able < ranks) {
    throw wrong(
      written,
      `has ${able} ${able === 1 ? 'bundle' : 'bundles'}${kind === undefined ? '' : ` with a ${kind}`} for ${ranks} ranks; each rank needs one`,
    );
  }
  return kind ?? null;
}

function wrong(written: Written, what: string): TwinkleError {
  return new TwinkleError(invalid(written, '').code, `${located(written.origin)}\`${written.origin.name}\` ${what}`);
}
