/** Quantities of resources as users write them: numbers that are at least zero and can be counted exactly. Pure. */
import { toUnits, WHOLE } from './resources.js';
import type { Resources, Units } from './types.js';
import { entriesOf, invalid, shown, unexpected } from './written.js';

/** Up to here every amount is exact; bytes are whole and so reach further. */
const MOST = 9e11;
const MOST_BYTES = 1.4e13;

/** Ray keeps this name for itself. */
const RESERVED = 'bundle';

/**
 * A quantity.
 * @param name of the resource
 * @param path what messages call it
 * @throws `PLACEMENT_INVALID`
 */
export function checkQuantity(name: string, value: unknown, path: string): number {
  if (typeof value !== 'number') throw unexpected('a number', path, value, 'write 1 or 0.5');
  if (Number.isNaN(value) || !Number.isFinite(value)) throw unexpected('a finite number', path, value);
  if (value < 0) throw unexpected('0 or more', path, value);
  const most = name === 'memory' || name === 'object_store_memory' ? MOST_BYTES : MOST;
  if (value > most) throw unexpected(`at most ${most}`, path, value);
  return value;
}

/**
 * A set of quantities, in the order written; those that round to zero are left out.
 * @returns the resources, and whether anything but zeros was written
 */
export function checkQuantities(
  written: unknown,
  path: string,
): { readonly resources: Resources; readonly zeros: boolean } {
  const resources = new Map<string, Units>();
  let zeros = true;
  for (const [name, value] of entriesOf(written, path, 'an object such as {"GPU": 1}')) {
    checkName(name, path);
    const quantity = checkQuantity(name, value, `${path}.${name}`);
    if (quantity !== 0) zeros = false;
    const units = toUnits(name, quantity);
    if (units !== 0) resources.set(name, units);
  }
  return { resources, zeros };
}

/** Totals of a node: whole numbers, as Ray wants them. Zeros are left out. */
export function checkTotals(written: unknown, path: string): Resources {
  const { resources } = checkQuantities(written, path);
  for (const [name, units] of resources) {
    if (units % WHOLE !== 0) throw unexpected('a whole number', `${path}.${name}`, units / WHOLE);
  }
  return resources;
}

function checkName(name: string, path: string): void {
  if (name.trim() === '') throw invalid(`\`${path}\` has a resource without a name: ${shown(name)}`);
  if (name === RESERVED) {
    throw invalid(`\`${path}\`: the name "${RESERVED}" is taken by placement groups; choose another one`);
  }
}
