/** What must fit on one node at once: a bundle, or all bundles of a STRICT_PACK group. Compiled once, asked of many nodes. Pure. */
import { take } from './free.js';
import { NODE_ID_LABEL } from './labels.js';
import { isUnitResource, sumResources, WHOLE } from './resources.js';
import { score } from './score.js';
import type { Free, LabelSelector, NodeSpec, Resources, Units } from './types.js';

export interface Demand {
  readonly resources: Resources;
  /** Names in alphabetical order, so that equal demands are summed up alike. */
  readonly names: readonly string[];
  /** By name. */
  readonly units: readonly Units[];
  /** Everything, for people. */
  readonly selector: LabelSelector;
  /** Conditions on labels that nodes share. */
  readonly labels: LabelSelector;
  /** Nodes by id that alone will do; null: any. */
  readonly only: ReadonlySet<string> | null;
  /** Nodes by id that will not do. */
  readonly never: ReadonlySet<string>;
  /** Sequences of pieces: on one node each piece of one of them must be granted, one after the other. */
  readonly sequences: readonly (readonly Resources[])[];
  /** Whether sums do not tell even on a node whose devices are all free or taken as wholes. */
  readonly fractional: boolean;
}

/** A bundle by itself. */
export function bundleDemand(resources: Resources, selector: LabelSelector): Demand {
  return compile(resources, selector, [[resources]]);
}

/**
 * All of them on one node. Fractions depend on the order in which they are granted: the order of indices is tried, then `order`.
 * @param order indices of the bundles as the strategies walk them
 */
export function sumDemand(
  bundles: readonly Resources[],
  selectors: readonly LabelSelector[] | null,
  order: readonly number[],
): Demand {
  const walked = order.map((index) => bundles[index] as Resources);
  return compile(sumResources(bundles), (selectors ?? []).flat(), [bundles, walked]);
}

function compile(resources: Resources, selector: LabelSelector, sequences: Demand['sequences']): Demand {
  const names = [...resources.keys()].sort();
  let only: ReadonlySet<string> | null = null;
  const never = new Set<string>();
  const labels = selector.length === 0 ? selector : selector.filter(({ key }) => key !== NODE_ID_LABEL);
  for (const { key, not, values } of selector) {
    if (key !== NODE_ID_LABEL) continue;
    if (not) for (const id of values) never.add(id);
    else only = new Set(only === null ? values : values.filter((id) => only?.has(id)));
  }
  const fractional = (pieces: readonly Resources[]) =>
    pieces.some((piece) => [...piece].some(([name, units]) => isUnitResource(name) && units % WHOLE !== 0));
  return {
    resources,
    names,
    units: names.map((name) => resources.get(name) as Units),
    selector,
    labels,
    only,
    never,
    sequences,
    fractional: sequences.some((pieces) => pieces.length > 1 && fractional(pieces)),
  };
}

/** Whether it is free by sum. The score says how well; −1: it is not. */
export function scoreOf(demand: Demand, free: Resources): number {
  return score(free, demand.names, demand.units);
}

/** Whether devices can grant what is free by sum: a fraction stays on one device. */
export function canGrant(demand: Demand, free: Free): boolean {
  return demand.sequences.some((pieces) => {
    let left = free;
    for (const piece of pieces) {
      const taken = take(left, piece);
      if (taken === null) return false;
      left = taken.free;
    }
    return true;
  });
}

/** Whether sums alone say that the devices can grant: they are free or taken as wholes, on the node and in the demand. */
export function sumsTell(demand: Demand, fractioned: boolean): boolean {
  return !fractioned && !demand.fractional;
}

/** Whether a device of the named resources is taken in part. */
export function isFractioned(free: Free, names: readonly string[]): boolean {
  for (const name of names) {
    const instances = free.instances.get(name);
    if (instances === undefined) continue;
    for (const units of instances) if (units !== 0 && units !== WHOLE) return true;
  }
  return false;
}

/** A node's label; its id is the label `ray.io/node-id`. */
export function labelOf(spec: NodeSpec, key: string): string | undefined {
  return key === NODE_ID_LABEL ? spec.id : spec.labels.get(key);
}
