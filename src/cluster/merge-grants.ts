/** Several grants on one node as one: taking and giving back costs once per node then, not once per bundle. Pure. */
import type { Grant, Units } from '../scheduler/types.js';

/** The sum, amounts and devices. */
export function mergeGrants(pieces: readonly { readonly grant: Grant }[]): Grant {
  const [first] = pieces;
  if (pieces.length === 1 && first !== undefined) return first.grant;
  const resources = new Map<string, Units>();
  const devices = new Map<string, Map<number, Units>>();
  for (const { grant } of pieces) {
    for (const [name, units] of grant.resources) resources.set(name, (resources.get(name) ?? 0) + units);
    for (const [name, taken] of grant.instances) {
      const sums = devices.get(name) ?? new Map<number, Units>();
      devices.set(name, sums);
      for (const [instance, units] of taken) sums.set(instance, (sums.get(instance) ?? 0) + units);
    }
  }
  const instances = new Map<string, readonly (readonly [number, Units])[]>();
  for (const [name, sums] of devices)
    instances.set(
      name,
      [...sums].sort((a, b) => a[0] - b[0]),
    );
  return { resources, instances };
}
