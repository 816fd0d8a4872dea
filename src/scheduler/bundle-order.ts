/** The order in which bundles look for their nodes: the most demanding first. Pure. */
import type { Resources } from './types.js';

/** Compared after everything else, in this order. */
const LAST = ['object_store_memory', 'memory', 'CPU'];
const FIRST = 'GPU';

/**
 * Indices by falling demand: GPU, then every resource that Ray does not predefine (NPU and `accelerator_type:X` among them) by name, then
 * object store memory, memory, CPU. Equal ones in index order, however many there are. Ray visits the custom names in the order in which
 * its process met them, which nobody can know; alphabetical is one of those orders.
 */
export function bundleOrder(bundles: readonly Resources[]): number[] {
  const customs = new Map<Resources, readonly string[]>();
  const customOf = (bundle: Resources): readonly string[] => {
    const known = customs.get(bundle);
    if (known !== undefined) return known;
    const names = [...bundle.keys()].filter((name) => name !== FIRST && !LAST.includes(name)).sort();
    customs.set(bundle, names);
    return names;
  };
  const at = (index: number): Resources => bundles[index] as Resources;
  return bundles
    .map((_, index) => index)
    .sort((a, b) => compare(at(a), at(b), customOf(at(a)), customOf(at(b))) || a - b);
}

function compare(a: Resources, b: Resources, customA: readonly string[], customB: readonly string[]): number {
  if (a === b) return 0;
  const by = (name: string): number => (b.get(name) ?? 0) - (a.get(name) ?? 0);
  let difference = by(FIRST);
  for (let i = 0, j = 0; difference === 0 && (i < customA.length || j < customB.length); ) {
    const left = customA[i];
    const right = customB[j];
    const name = left === undefined || (right !== undefined && right < left) ? (right as string) : left;
    if (left === name) i += 1;
    if (right === name) j += 1;
    difference = by(name);
  }
  for (const name of LAST) difference ||= by(name);
  return difference;
}
