/**
 * Taking from what is free on a node, and giving back. Devices are instances: whole ones lowest first, a fraction on the instance that it
 * leaves the least of, never over two. Immutable: `giveBack(take(free, x).free, x)` equals `free`.
 */
import { isUnitResource, WHOLE } from './resources.js';
import type { Free, Grant, NodeSpec, Resources, Units } from './types.js';

/** Everything free. */
export function allFree(spec: NodeSpec): Free {
  const instances = new Map<string, readonly Units[]>();
  for (const [name, units] of spec.total) {
    if (isUnitResource(name)) instances.set(name, new Array<Units>(units / WHOLE).fill(WHOLE));
  }
  return { amounts: spec.total, instances };
}

/**
 * Instances for an amount, or null when no set of them has it.
 * @param order instances in the order in which whole ones are taken; default: ascending
 */
export function chooseInstances(
  free: readonly Units[],
  units: Units,
  order?: readonly number[],
): (readonly [number, Units])[] | null {
  const chosen: [number, Units][] = [];
  const whole = Math.floor(units / WHOLE);
  const candidates = order?.length ?? free.length;
  for (let at = 0; at < candidates && chosen.length < whole; at++) {
    const instance = order === undefined ? at : (order[at] as number);
    if (free[instance] === WHOLE) chosen.push([instance, WHOLE]);
  }
  if (chosen.length < whole) return null;
  const rest = units - whole * WHOLE;
  if (rest > 0) {
    let best = -1;
    for (let instance = 0; instance < free.length; instance++) {
      const left = free[instance] ?? 0;
      if (left < rest || chosen.some(([taken]) => taken === instance)) continue;
      if (best < 0 || left < (free[best] ?? 0)) best = instance;
    }
    if (best < 0) return null;
    chosen.push([best, rest]);
  }
  // Whole ones alone, taken in order, are in order.
  return rest === 0 && order === undefined ? chosen : chosen.sort((a, b) => a[0] - b[0]);
}

/**
 * Take an amount of everything asked, or null when it is not free: by sum, or because no instance has what is left of a fraction.
 * @param orders order in which whole instances of a unit resource are taken
 */
export function take(
  free: Free,
  want: Resources,
  orders?: ReadonlyMap<string, readonly number[]>,
): { readonly free: Free; readonly grant: Grant } | null {
  for (const [name, units] of want) if ((free.amounts.get(name) ?? 0) < units) return null;
  const amounts = new Map(free.amounts);
  const taken = new Map<string, readonly (readonly [number, Units])[]>();
  for (const [name, units] of want) {
    amounts.set(name, (amounts.get(name) ?? 0) - units);
    if (!isUnitResource(name)) continue;
    const chosen = chooseInstances(free.instances.get(name) ?? [], units, orders?.get(name));
    if (chosen === null) return null;
    taken.set(name, chosen);
  }
  const grant: Grant = { resources: want, instances: taken };
  return { free: { amounts, instances: taken.size === 0 ? free.instances : changed(free, grant, -1) }, grant };
}

/** Take exactly what a grant says: for replaying a journal. Null when somebody else has it. */
export function takeGrant(free: Free, grant: Grant): Free | null {
  const amounts = new Map(free.amounts);
  for (const [name, units] of grant.resources) {
    const left = (amounts.get(name) ?? 0) - units;
    if (left < 0) return null;
    amounts.set(name, left);
  }
  for (const [name, pieces] of grant.instances) {
    const instances = free.instances.get(name) ?? [];
    if (pieces.some(([instance, units]) => (instances[instance] ?? 0) < units)) return null;
  }
  return { amounts, instances: changed(free, grant, -1) };
}

/** Give back what was taken. */
export function giveBack(free: Free, grant: Grant): Free {
  const amounts = new Map(free.amounts);
  for (const [name, units] of grant.resources) amounts.set(name, (amounts.get(name) ?? 0) + units);
  return { amounts, instances: changed(free, grant, 1) };
}

function changed(free: Free, grant: Grant, sign: 1 | -1): Free['instances'] {
  if (grant.instances.size === 0) return free.instances;
  const instances = new Map(free.instances);
  for (const [name, pieces] of grant.instances) {
    const units = instances.get(name)?.slice() ?? [];
    for (const [instance, amount] of pieces) units[instance] = (units[instance] ?? 0) + sign * amount;
    instances.set(name, units);
  }
  return instances;
}
