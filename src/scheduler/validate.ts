/** Placement groups as users write them → {@link GroupRequest}. Refuses what Ray refuses, and says what to write instead. Pure. */
import { type FieldNames, OWN_NAMES } from './field-names.js';
import { parseSelector } from './labels.js';
import { checkQuantities } from './quantity.js';
import { isUnitResource, WHOLE } from './resources.js';
import { strategyOf } from './topology-strategy.js';
import type { GroupRequest, LabelSelector, Resources } from './types.js';
import { entriesOf, invalid, shown, textOr, unexpected } from './written.js';

/** Most bundles of one group. Ray has no limit; a group of this size is already more than any cluster that we know. */
export const MAX_BUNDLES = 10_000;

/** Ray's id of no node: 28 bytes of ones. */
const NIL_NODE = /^f{56}$/i;

/** Bundles of these must all ask for one and the same: their link domains do not mix. */
const DOMAIN_ACCELERATORS: readonly string[] = ['GB200', 'GB300'];
const ACCELERATOR_LABEL = 'ray.io/accelerator-type';

/** The fields of a group as users write them. Anything may stand in them. */
export interface WrittenGroup {
  /** `[{ GPU: 1, CPU: 2 }, …]`, 1 to 10,000. */
  readonly bundles: unknown;
  /** `PACK` (default), `SPREAD`, `STRICT_PACK`, `STRICT_SPREAD`. */
  readonly strategy?: unknown;
  /** Instead of `strategy`: `{ 'ray.io/node-id': 'PACK', 'ray.io/gpu-domain': 'STRICT_PACK' }`. */
  readonly topologyStrategy?: unknown;
  /** Beside `strategy`: all bundles on nodes with one value of this label. */
  readonly domainLabel?: unknown;
  /** One selector per bundle. */
  readonly bundleLabelSelector?: unknown;
  /** Id of the node that a STRICT_PACK group prefers. */
  readonly softTarget?: unknown;
  /** `detached`, or null: the group ends with its owner. */
  readonly lifetime?: unknown;
  /** Unique in its namespace; empty: none. */
  readonly name?: unknown;
  /** Default `default`. */
  readonly namespace?: unknown;
  /** Consecutive bundles that want linked devices; default 1. */
  readonly tensorParallel?: unknown;
}

/** A checked group: what to place, and under which name. */
export interface CompiledGroup extends GroupRequest {
  readonly name: string;
  readonly namespace: string;
  readonly lifetime: 'owner' | 'detached';
}

/**
 * Check a group and compile it. Amounts under 1/10000 count as nothing, fractions of devices are allowed, as in Ray.
 * @param called what messages call fields that have another name where the user wrote them
 * @throws `PLACEMENT_INVALID`
 */
export function compileGroup(written: WrittenGroup, called: Partial<FieldNames> = {}): CompiledGroup {
  const names = { ...OWN_NAMES, ...called };
  const { strategy, domainLabel } = strategyOf(written, names);
  const bundles = bundlesOf(written.bundles, names.bundles);
  return {
    strategy,
    bundles,
    selectors: selectorsOf(written.bundleLabelSelector, bundles.length, names.bundleLabelSelector),
    softTarget: softTargetOf(written.softTarget, strategy, names.softTarget),
    domain: domainLabel === null ? null : { label: domainLabel, value: null },
    occupied: new Set(),
    tensorParallel: tensorParallelOf(written.tensorParallel, bundles, names.tensorParallel),
    ...identityOf(written),
  };
}

function bundlesOf(written: unknown, path: string): Resources[] {
  if (!Array.isArray(written)) throw unexpected('a list of bundles', path, written, 'write [{"GPU": 1}]');
  if (written.length === 0) throw unexpected('one bundle or more', path, written, 'write [{"GPU": 1}]');
  if (written.length > MAX_BUNDLES) {
    throw unexpected(`at most ${MAX_BUNDLES} bundles`, path, written, 'make several groups');
  }
  // `[{ GPU: 1 }] * 64` is one object 64 times: it is looked at once.
  const known = new Map<unknown, Resources>();
  return Array.from(written, (bundle: unknown, index) => {
    const compiled = known.get(bundle) ?? bundleOf(bundle, `${path}[${index}]`);
    known.set(bundle, compiled);
    return compiled;
  });
}

function bundleOf(bundle: unknown, path: string): Resources {
  const { resources, zeros } = checkQuantities(bundle, path);
  if (zeros) throw invalid(`\`${path}\` asks for nothing (${shown(bundle)}); leave it out, or write {"CPU": 1}`);
  return resources;
}

function selectorsOf(written: unknown, count: number, path: string): LabelSelector[] | null {
  if (written === undefined || written === null) return null;
  if (!Array.isArray(written)) throw unexpected('a list with one selector per bundle', path, written);
  if (written.length !== count) {
    throw unexpected(`${count} selectors, one per bundle,`, path, written, 'write {} for a bundle without one');
  }
  const selectors = Array.from(written, (selector, index) => parseSelector(selector, `${path}[${index}]`));
  checkAcceleratorDomain(written, path);
  return selectors.every((selector) => selector.length === 0) ? null : selectors;
}

/** Ray's rule for racks that share one NVLink domain. */
function checkAcceleratorDomain(selectors: readonly unknown[], path: string): void {
  const wanted = selectors.map((selector, index) => {
    const entries = entriesOf(selector, `${path}[${index}]`);
    return entries.find(([key]) => key === ACCELERATOR_LABEL)?.[1];
  });
  const domain = wanted.find((value) => DOMAIN_ACCELERATORS.includes(String(value)));
  if (domain === undefined) return;
  const other = wanted.findIndex((value) => value !== domain);
  if (other < 0) return;
  throw unexpected(
    `${domain}, as another bundle has,`,
    `${path}[${other}].${ACCELERATOR_LABEL}`,
    wanted[other],
    `give every bundle the same, because a ${domain} domain does not mix with others`,
  );
}

function softTargetOf(written: unknown, strategy: string, path: string): string | null {
  const target = textOr(written, path, '');
  if (target === '') return null;
  if (strategy !== 'STRICT_PACK') {
    throw invalid(`\`${path}\` works with STRICT_PACK only but the strategy is ${strategy}; leave it out`);
  }
  if (NIL_NODE.test(target)) throw unexpected('the id of a node', path, target, 'see twinkle-node list nodes');
  return target;
}

/** A rank per bundle, or several in one bundle with as many devices. */
function tensorParallelOf(written: unknown, bundles: readonly Resources[], path: string): number {
  if (written === undefined || written === null) return 1;
  const devices = bundles.flatMap((bundle) => [...bundle].filter(([name]) => isUnitResource(name)));
  const most = Math.max(bundles.length, Math.floor(devices.reduce((sum, [, units]) => sum + units, 0) / WHOLE));
  if (typeof written !== 'number' || !Number.isInteger(written) || written < 1 || written > most) {
    throw unexpected(`a whole number from 1 to ${most}, as there are bundles or devices,`, path, written);
  }
  return written;
}

/**
 * Under which name it is known, and what it ends with.
 * @throws `PLACEMENT_INVALID`
 */
export function identityOf(
  written: Pick<WrittenGroup, 'name' | 'namespace' | 'lifetime'>,
): Pick<CompiledGroup, 'name' | 'namespace' | 'lifetime'> {
  const namespace = textOr(written.namespace, 'namespace', 'default');
  if (namespace === '') throw unexpected('a name', 'namespace', namespace, 'leave it out for "default"');
  const { lifetime = null } = written;
  if (lifetime !== null && lifetime !== 'detached') {
    throw unexpected('"detached" or null', 'lifetime', lifetime, 'null ends the group with its owner');
  }
  return {
    name: textOr(written.name, 'name', ''),
    namespace,
    lifetime: lifetime === null ? 'owner' : 'detached',
  };
}
