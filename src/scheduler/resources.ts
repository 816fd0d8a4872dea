/** Arithmetic on resources: fixed point in 1/10000, whole numbers underneath. Pure. */
import type { Resources, Units } from './types.js';

/** Units in one. */
export const WHOLE: Units = 10_000;

/** Resources that are devices: an amount of them is a set of instances, and a fraction stays on one. */
const UNIT_RESOURCES: ReadonlySet<string> = new Set(['GPU', 'NPU', 'TPU', 'HPU', 'neuron_cores']);

/** Amounts counted in bytes: whole ones, since exactness ends at 2^53 units. */
const BYTE_RESOURCES: ReadonlySet<string> = new Set(['memory', 'object_store_memory']);

/** Whether the resource comes in devices. */
export function isUnitResource(name: string): boolean {
  return UNIT_RESOURCES.has(name);
}

/** 0.33333 → 3333: rounded to the nearest unit, as Ray does; bytes to whole ones. */
export function toUnits(name: string, quantity: number): Units {
  if (BYTE_RESOURCES.has(name)) return Math.round(quantity) * WHOLE;
  return Math.floor(quantity * WHOLE + 0.5);
}

/** 3333 → 0.3333. */
export function fromUnits(units: Units): number {
  return units / WHOLE;
}

/** From `{ CPU: 1, GPU: 0.5 }`; amounts of zero (also after cutting off) are left out. Names in the order given. */
export function toResources(quantities: Readonly<Record<string, number>>): Resources {
  const resources = new Map<string, Units>();
  for (const [name, quantity] of Object.entries(quantities)) {
    const units = toUnits(name, quantity);
    if (units !== 0) resources.set(name, units);
  }
  return resources;
}

/** To `{ CPU: 1, GPU: 0.5 }`. */
export function toQuantities(resources: Resources): Record<string, number> {
  return Object.fromEntries([...resources].map(([name, units]) => [name, fromUnits(units)]));
}

/** Key-wise sum. */
export function sumResources(all: Iterable<Resources>): Resources {
  const sum = new Map<string, Units>();
  for (const resources of all) for (const [name, units] of resources) sum.set(name, (sum.get(name) ?? 0) + units);
  return sum;
}

/** Whether `have` has at least `want` of everything. */
export function covers(have: Resources, want: Resources): boolean {
  for (const [name, units] of want) if ((have.get(name) ?? 0) < units) return false;
  return true;
}

/** `GPU 2, CPU 0.5`: for people; bytes as they are. Nothing is `nothing`. */
export function describeResources(resources: Resources): string {
  if (resources.size === 0) return 'nothing';
  return [...resources].map(([name, units]) => `${name} ${fromUnits(units)}`).join(', ');
}
