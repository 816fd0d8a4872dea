/** Which devices each bundle gets, once its node is known. Pure. */
import { take } from './free.js';
import { freeWholes, type LinkBook } from './link-book.js';
import { blockStart, type Plan } from './plan.js';
import { isUnitResource, WHOLE } from './resources.js';
import type { Free, Grant, NodeView, Resources } from './types.js';

/**
 * Grants for the bundles of one node: in the order of indices, so that bundle 0 gets the lowest devices; where fractions cannot be granted
 * so, in the order in which the bundles were placed. Null: the node does not hold them all.
 * @param bundles their indices, ascending
 */
export function grantsOn(
  view: NodeView,
  bundles: readonly number[],
  plan: Plan,
  links: LinkBook,
): ReadonlyMap<number, Grant> | null {
  const walked = (): number[] => {
    const here = new Set(bundles);
    return plan.order.filter((bundle) => here.has(bundle));
  };
  return granted(view, bundles, plan, links) ?? granted(view, walked(), plan, links);
}

function granted(
  view: NodeView,
  order: readonly number[],
  plan: Plan,
  links: LinkBook,
): ReadonlyMap<number, Grant> | null {
  const grants = new Map<number, Grant>();
  const blocks = plan.request.tensorParallel > 1 ? byBlock(order, plan) : null;
  const chosen = new Map<number, ReadonlyMap<string, readonly number[]>>();
  let { free } = view;
  for (const bundle of order) {
    const start = blockStart(plan, bundle);
    let orders = chosen.get(start);
    if (orders === undefined && blocks !== null) {
      orders = linkedOrders(view, free, blocks.get(start) ?? [], links);
      chosen.set(start, orders);
    }
    const taken = take(free, plan.request.bundles[bundle] as Resources, orders);
    if (taken === null) return null;
    free = taken.free;
    grants.set(bundle, taken.grant);
  }
  return grants;
}

function byBlock(order: readonly number[], plan: Plan): ReadonlyMap<number, readonly Resources[]> {
  const blocks = new Map<number, Resources[]>();
  for (const bundle of order) {
    const start = blockStart(plan, bundle);
    const resources = plan.request.bundles[bundle] as Resources;
    const block = blocks.get(start);
    if (block === undefined) blocks.set(start, [resources]);
    else block.push(resources);
  }
  return blocks;
}

/** Orders of taking whole devices: first those that are best linked for all the bundles together, then the others. */
function linkedOrders(
  view: NodeView,
  free: Free,
  bundles: readonly Resources[],
  links: LinkBook,
): ReadonlyMap<string, readonly number[]> {
  const orders = new Map<string, readonly number[]>();
  for (const name of new Set(bundles.flatMap((bundle) => [...bundle.keys()].filter(isUnitResource)))) {
    const wholes = freeWholes(free, name);
    const wanted = bundles.reduce((sum, bundle) => sum + Math.floor((bundle.get(name) ?? 0) / WHOLE), 0);
    if (wanted < 2 || wanted > wholes.length) continue;
    const { instances } = links.best(view.spec, name, wholes, wanted);
    orders.set(name, [...instances, ...wholes.filter((instance) => !instances.includes(instance))]);
  }
  return orders;
}
