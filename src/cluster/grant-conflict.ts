/** Why a grant cannot be taken on a node, and who is in the way: one line for people. Pure. */
import { fromUnits } from '../scheduler/resources.js';
import type { Free, Grant, NodeSpec } from '../scheduler/types.js';

/** Who holds something there. */
export interface Holder {
  readonly group: string;
  readonly pieces: readonly { readonly grant: Grant }[];
}

/**
 * What `grant` wants and `free` lacks: the first such resource or device.
 * @param holders searched for who has it
 */
export function conflictOf(spec: NodeSpec, free: Free, grant: Grant, holders: Iterable<Holder>): string {
  for (const [name, pieces] of grant.instances) {
    const instances = free.instances.get(name) ?? [];
    for (const [instance, units] of pieces) {
      const left = instances[instance];
      if (left === undefined) return `${spec.id} has no ${name} ${instance}`;
      if (left >= units) continue;
      const holder = holderOf(name, instance, holders);
      const by = holder === null ? '' : `, group ${holder} holds of it`;
      return `${fromUnits(left)} of ${name} ${instance} is free, ${fromUnits(units)} is wanted${by}`;
    }
  }
  for (const [name, units] of grant.resources) {
    const left = free.amounts.get(name) ?? 0;
    if (left < units) return `${fromUnits(left)} ${name} is free, ${fromUnits(units)} is wanted`;
  }
  return 'it does not fit';
}

function holderOf(name: string, instance: number, holders: Iterable<Holder>): string | null {
  for (const { group, pieces } of holders) {
    for (const { grant } of pieces) {
      if (grant.instances.get(name)?.some(([held]) => held === instance)) return group;
    }
  }
  return null;
}
