/** The best node for a demand among those that an attempt may still use. Equivalent to looking at every node; knows no strategies. */
import { canGrant, type Demand, isFractioned, scoreOf, sumsTell } from './demand.js';
import { matches } from './labels.js';
import { freeWholes } from './link-book.js';
import { addLinks, compareLinks, type Linkage, UNLINKED } from './linked-devices.js';
import type { Kind } from './node-index.js';
import { districtOf, type NodePool } from './node-pool.js';
import { covers } from './resources.js';
import type { Scope } from './scope.js';
import { searched, type Ties } from './search.js';
import type { NodeView } from './types.js';

/** Sets of linked devices that are wanted on the node: what decides between nodes of equal score. */
export interface Wish {
  readonly resource: string;
  /** How many devices belong together, set by set. */
  readonly sizes: readonly number[];
}

/** How well a node takes a demand; −1: it does not, by labels, by sum or because no devices can grant it. */
export function rate(view: NodeView, demand: Demand): number {
  const score = scoreOf(demand, view.free.amounts);
  if (score < 0 || !matches(view.spec, demand.selector)) return -1;
  return sumsTell(demand, isFractioned(view.free, demand.names)) || canGrant(demand, view.free) ? score : -1;
}

/** The candidate with the highest score; among equals the one that fulfils the wish best, then the one that joined first. */
export function pickNode(scope: Scope, demand: Demand, wish: Wish | null = null): NodeView | null {
  const { best, tied } =
    demand.only === null ? searched(scope, demand, wish?.resource ?? null) : compared(scope.known(demand.only), demand);
  if (best < 0) return null;
  let chosen: NodeView | null = null;
  let linkage = UNLINKED;
  for (const view of tied) {
    const its = wish === null || tied.length === 1 ? UNLINKED : fulfilment(scope.pool, view, wish);
    const better = chosen === null ? -1 : compareLinks(its, linkage) || view.order - chosen.order;
    if (better >= 0) continue;
    chosen = view;
    linkage = its;
  }
  return chosen;
}

function compared(views: readonly NodeView[], demand: Demand): Ties {
  let best = -1;
  let tied: NodeView[] = [];
  for (const view of views) {
    const score = rate(view, demand);
    if (score < best) continue;
    if (score > best) tied = [];
    best = score;
    tied.push(view);
  }
  return { best, tied };
}

function fulfilment(pool: NodePool, view: NodeView, { resource, sizes }: Wish): Linkage {
  let wholes = freeWholes(view.free, resource);
  let linkage = UNLINKED;
  for (const size of sizes) {
    const set = pool.links.best(view.spec, resource, wholes, Math.min(size, wholes.length));
    linkage = addLinks(linkage, set.linkage);
    wholes = wholes.filter((instance) => !set.instances.includes(instance));
  }
  return linkage;
}

/** Whether a candidate could take it if everything on it were free. */
export function isFeasible(scope: Scope, demand: Demand): boolean {
  const fits = (view: NodeView): boolean =>
    covers(view.spec.total, demand.resources) && matches(view.spec, demand.labels);
  if (demand.only !== null) {
    return scope.known(demand.only).some((view) => fits(view) && !demand.never.has(view.spec.id));
  }
  const index = scope.index(demand);
  const barred = new Map<Kind, number>();
  for (const id of new Set([...scope.left(), ...demand.never])) {
    const kind = scope.pool.kindIn(index, id);
    if (kind !== null) barred.set(kind, (barred.get(kind) ?? 0) + 1);
  }
  for (const kind of index.district(districtOf(scope.domain))?.kinds.values() ?? []) {
    if (fits(kind.sample) && kind.count > (barred.get(kind) ?? 0)) return true;
  }
  return false;
}
