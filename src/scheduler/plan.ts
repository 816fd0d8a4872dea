/** A request, compiled: what each bundle demands, in which order bundles are placed, which of them want linked devices. Pure. */
import { bundleOrder } from './bundle-order.js';
import { bundleDemand, type Demand, sumDemand } from './demand.js';
import type { Wish } from './pick-node.js';
import { isUnitResource, WHOLE } from './resources.js';
import type { GroupRequest, LabelSelector, Resources } from './types.js';

export interface Plan {
  readonly request: GroupRequest;
  /** By bundle; equal bundles share theirs. */
  readonly demands: readonly Demand[];
  /** Indices in the order of placing. */
  readonly order: readonly number[];
  /** STRICT_PACK: all bundles at once; else null. */
  readonly sum: Demand | null;
}

export function planOf(request: GroupRequest): Plan {
  const { bundles, selectors, strategy } = request;
  const known = new Map<string, Demand>();
  const demands = bundles.map((resources, index) => {
    const selector = selectors?.[index] ?? [];
    const key = demandKey(resources, selector);
    const demand = known.get(key) ?? bundleDemand(resources, selector);
    known.set(key, demand);
    return demand;
  });
  // Equal bundles become the same object, which makes comparing them cheap.
  const order = bundleOrder(demands.map(({ resources }) => resources));
  return { request, demands, order, sum: strategy === 'STRICT_PACK' ? sumDemand(bundles, selectors, order) : null };
}

function demandKey(resources: Resources, selector: LabelSelector): string {
  let key = selector.length === 0 ? '' : JSON.stringify(selector);
  for (const [name, units] of resources) key += `|${name}|${units}`;
  return key;
}

/** The first bundle of the tensor-parallel block of a bundle. */
export function blockStart({ request }: Plan, bundle: number): number {
  return bundle - (bundle % request.tensorParallel);
}

/** Bundles of the block that begins with `start`. */
export function blockOf({ request }: Plan, start: number): number[] {
  const end = Math.min(start + request.tensorParallel, request.bundles.length);
  return Array.from({ length: end - start }, (_, index) => start + index);
}

/**
 * Linked sets that these bundles want, each list one set, of the resource that the first of them has; null: nothing can be linked.
 */
export function wishOf({ request }: Plan, sets: readonly (readonly number[])[]): Wish | null {
  if (request.tensorParallel <= 1) return null;
  const wholes = (bundle: number, name: string): number =>
    Math.floor((request.bundles[bundle]?.get(name) ?? 0) / WHOLE);
  const first = request.bundles[sets[0]?.[0] ?? -1];
  const resource = [...(first?.keys() ?? [])].sort().find(isUnitResource);
  if (resource === undefined) return null;
  const sizes = sets.map((set) => set.reduce((sum, bundle) => sum + wholes(bundle, resource), 0));
  return sizes.some((size) => size > 1) ? { resource, sizes } : null;
}
