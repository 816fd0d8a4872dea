/** Who has what of the bundles of placement groups: workers in a group share what its bundles have reserved. Pure. */
import type { BundleStatus, SeatDevice } from '../cluster/api.js';
import { TwinkleError } from '../errors.js';
import { giveBack, take } from '../scheduler/free.js';
import { describeResources, isUnitResource, toResources, WHOLE } from '../scheduler/resources.js';
import type { Free, Grant } from '../scheduler/types.js';

/** A part of a bundle. */
export interface Share {
  readonly group: string;
  readonly bundle: number;
  readonly node: string;
  readonly devices: readonly SeatDevice[];
  readonly grant: Grant;
}

interface Bundle {
  readonly index: number;
  readonly node: string;
  readonly all: Free;
  readonly devices: readonly SeatDevice[];
  free: Free;
}

export class GroupShares {
  readonly #groups = new Map<string, readonly Bundle[]>();

  /** The group has its places; false: that was known, and what is taken stays taken. */
  open(group: string, bundles: readonly BundleStatus[]): boolean {
    if (this.#groups.has(group)) return false;
    const placed = bundles.flatMap((bundle): Bundle[] => {
      if (bundle.node === null) return [];
      const all = allOf(bundle);
      return [{ index: bundle.index, node: bundle.node, all, free: all, devices: bundle.devices }];
    });
    this.#groups.set(group, placed);
    return true;
  }

  /** The group is gone, or lost its places: nothing in it is anybody's any more. */
  close(group: string): void {
    this.#groups.delete(group);
  }

  /**
   * A part of a bundle; null: others have it now.
   * @param bundle its index, or -1: the first that has room
   * @throws `PLACEMENT_INVALID` when no such bundle could ever hold it
   */
  take(group: string, bundle: number, wanted: Readonly<Record<string, number>>): Share | null {
    const bundles = this.#groups.get(group) ?? [];
    const asked = bundle < 0 ? bundles : bundles.filter(({ index }) => index === bundle);
    const resources = toResources(wanted);
    if (!asked.some(({ all }) => take(all, resources) !== null)) {
      const which = bundle < 0 ? 'no bundle' : `bundle ${bundle} of ${bundles.length}`;
      const what = describeResources(resources);
      throw new TwinkleError('PLACEMENT_INVALID', `placement group ${group} has ${which} that could hold ${what}`);
    }
    for (const one of asked) {
      const taken = take(one.free, resources);
      if (taken === null) continue;
      one.free = taken.free;
      const { index, node } = one;
      return { group, bundle: index, node, devices: devicesOf(one, taken.grant), grant: taken.grant };
    }
    return null;
  }

  /** It is free for others. Ignored when the group is gone. */
  giveBack({ group, bundle, grant }: Share): void {
    const found = this.#groups.get(group)?.find(({ index }) => index === bundle);
    if (found !== undefined) found.free = giveBack(found.free, grant);
  }
}

/** What a bundle has. Its devices are counted anew, from 0: an instance of it is a position among those of its resource. */
function allOf({ resources, devices }: BundleStatus): Free {
  const instances = new Map<string, number[]>();
  for (const { resource, quantity } of devices) {
    const units = Math.round(quantity * WHOLE);
    instances.set(resource, [...(instances.get(resource) ?? []), units]);
  }
  return { amounts: toResources(resources), instances };
}

function devicesOf({ devices }: Bundle, grant: Grant): SeatDevice[] {
  return [...grant.instances].flatMap(([resource, pieces]) => {
    if (!isUnitResource(resource)) return [];
    const own = devices.filter((device) => device.resource === resource);
    return pieces.flatMap(([at, units]) => {
      const device = own[at];
      return device === undefined ? [] : [{ ...device, quantity: units / WHOLE }];
    });
  });
}
