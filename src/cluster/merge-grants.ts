/** Several grants on one node as one: taking and giving back costs once per node then, not once per bundle. Pure. */
import type { Grant, Units } from '../scheduler/types.js';

/** The sum, amounts and devices. */
export function mergeGrants(pieces: readonly { readonly grant: Grant }[]): Grant {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first.grant;
  const resources = new Map<string, Units>();
  const devices = new Map<string, Taken[]>();
  for (const { grant } of pieces) {
    for (const [name, units] of grant.resources) resources.set(name, (resources.get(name) ?? 0) + units);
    for (const [name, taken] of grant.instances) {
      const all = devices.get(name);
      if (all === undefined) devices.set(name, [...taken]);
      else all.push(...taken);
    }
  }
  const instances = new Map<string, readonly Taken[]>();
  for (const [name, taken] of devices) instances.set(name, byInstance(taken));
  return { resources, instances };
}

type Taken = readonly [instance: number, units: Units];

/** Ascending, what is taken of one instance as one. */
function byInstance(taken: Taken[]): Taken[] {
  taken.sort((a, b) => a[0] - b[0]);
  if (taken.every(([instance], at) => at === 0 || taken[at - 1]?.[0] !== instance)) return taken;
  const sums = new Map<number, Units>();
  for (const [instance, units] of taken) sums.set(instance, (sums.get(instance) ?? 0) + units);
  return [...sums];
}
