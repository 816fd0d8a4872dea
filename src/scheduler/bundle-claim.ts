/** Using a placed group: which of its bundles a task or actor takes, and which devices of that bundle. Pure. */
import { take } from './free.js';
import { covers, describeResources, sumResources } from './resources.js';
import type { Free, Grant, Resources, Units } from './types.js';
import { invalid, unexpected } from './written.js';

/** Any bundle of the group. */
export const ANY_BUNDLE = -1;

/** A bundle of a group, as far as its users care. */
export interface UsableBundle {
  /** Null: lost its node and waits for another one. */
  readonly node: string | null;
  /** What nobody uses of it: {@link freeOfGrant} at first, then `free` of each choice. */
  readonly free: Free;
}

/** Where a task or actor of a group goes. */
export type BundleChoice =
  | {
      readonly outcome: 'placed';
      readonly bundle: number;
      readonly node: string;
      readonly grant: Grant;
      /** Of the bundle, afterwards. Give back by `giveBack`. */
      readonly free: Free;
    }
  | { readonly outcome: 'pending'; readonly reason: string };

/** A bundle that nobody uses: everything of its grant, and no other device of its node. */
export function freeOfGrant(grant: Grant): Free {
  const instances = new Map<string, readonly Units[]>();
  for (const [name, pieces] of grant.instances) {
    const units = new Array<Units>(Math.max(-1, ...pieces.map(([instance]) => instance)) + 1).fill(0);
    for (const [instance, amount] of pieces) units[instance] = amount;
    instances.set(name, units);
  }
  return { amounts: grant.resources, instances };
}

/**
 * Whether a request can be made of a group at all: it must fit into one bundle as a whole, and the index must exist.
 * @param bundles as the group was written, whatever is in use
 * @param index of a bundle, or {@link ANY_BUNDLE}
 * @throws `PLACEMENT_INVALID`
 */
export function checkBundleRequest(bundles: readonly Resources[], resources: Resources, index: unknown): void {
  if (typeof index !== 'number' || !Number.isInteger(index) || index < ANY_BUNDLE || index >= bundles.length) {
    throw unexpected(`a whole number from 0 to ${bundles.length - 1}, or -1 for any,`, 'bundleIndex', index);
  }
  if (bundles.some((bundle) => covers(bundle, resources))) return;
  throw invalid(
    `expected resources that fit into one bundle of the group but received ${describeResources(resources)}; the bundles are ` +
      `${describeBundles(bundles)}`,
  );
}

/**
 * Choose the bundle. By index: that one. {@link ANY_BUNDLE}: among the nodes on which the bundles together have it free, in the order of
 * their first bundle, the first bundle that has it alone. Never outside the group, not even when nothing is asked.
 */
export function chooseBundle(bundles: readonly UsableBundle[], resources: Resources, index: number): BundleChoice {
  const wanted = index === ANY_BUNDLE ? inNodeOrder(bundles, resources) : [index];
  for (const bundle of wanted) {
    const { node, free } = bundles[bundle] ?? { node: null, free: null };
    const taken = node === null || free === null ? null : take(free, resources);
    if (node !== null && taken !== null)
      return { outcome: 'placed', bundle, node, grant: taken.grant, free: taken.free };
  }
  return { outcome: 'pending', reason: whyNot(bundles, resources, index) };
}

/** Bundles by node, without the nodes on which the sum is too small. */
function inNodeOrder(bundles: readonly UsableBundle[], resources: Resources): number[] {
  const byNode = new Map<string, number[]>();
  bundles.forEach(({ node }, bundle) => {
    if (node === null) return;
    const own = byNode.get(node);
    if (own === undefined) byNode.set(node, [bundle]);
    else own.push(bundle);
  });
  return [...byNode.values()]
    .filter((own) => covers(sumResources(own.map((bundle) => bundles[bundle]?.free.amounts ?? new Map())), resources))
    .flat();
}

function whyNot(bundles: readonly UsableBundle[], resources: Resources, index: number): string {
  const want = describeResources(resources);
  if (index === ANY_BUNDLE) {
    return bundles.every(({ node }) => node === null)
      ? 'no bundle of the group has a node now'
      : `no bundle has ${want} free`;
  }
  const bundle = bundles[index];
  if (bundle === undefined || bundle.node === null) return `bundle ${index} has no node now`;
  return `bundle ${index} on ${bundle.node} does not have ${want} free`;
}

function describeBundles(bundles: readonly Resources[]): string {
  const different = [...new Set(bundles.map(describeResources))];
  return `${different.slice(0, 4).join('; ')}${different.length > 4 ? '; …' : ''}`;
}

/** Whom a task or actor belongs to. */
export interface Membership<G> {
  readonly group: G;
  /** {@link ANY_BUNDLE}, or a bundle. */
  readonly index: number;
  /** Its own children belong to the group, too, unless they say otherwise. */
  readonly capture: boolean;
}

/** What a child says about groups: nothing, `none` (a strategy of its own, `DEFAULT` too), or a group; `capture` null: as its parent does. */
export type WrittenMembership<G> =
  | null
  | 'none'
  | { readonly group: G; readonly index: number; readonly capture: boolean | null };

/** Ray's rule for children: they inherit the group of a parent that captures, with any bundle, and only if they say nothing. */
export function inheritGroup<G>(parent: Membership<G> | null, written: WrittenMembership<G>): Membership<G> | null {
  const captures = parent?.capture ?? false;
  if (written === 'none') return null;
  if (written !== null) return { ...written, capture: written.capture ?? captures };
  return parent !== null && captures ? { group: parent.group, index: ANY_BUNDLE, capture: true } : null;
}
