/** Which rank runs where: from the places that a group's bundles got to node, local rank and device of each rank. Pure. */
import type { GroupPlan } from './placement.js';

/** A device as a bundle holds it. */
export interface SeatedDevice {
  readonly resource: string;
  readonly instance: number;
  readonly uuid: string;
  readonly quantity: number;
}

/** Where a bundle is. */
export interface SeatedBundle {
  readonly node: string;
  readonly devices: readonly SeatedDevice[];
}

/** Where a rank is. */
export interface RankSeat {
  /** Index of its bundle in the group. */
  readonly bundle: number;
  readonly node: string;
  /** Order among the replica's ranks on that node. */
  readonly localRank: number;
  /** Null: it runs on CPUs. */
  readonly device: SeatedDevice | null;
}

/**
 * Ranks of every replica of the group, in vLLM's order: the node of the first bundle, then nodes by id, and bundles by index within a node.
 * So consecutive ranks, which are a tensor-parallel group, share a node where they can, and pipeline stages cross.
 * @param seats by bundle
 */
export function seatRanks(plan: GroupPlan, seats: readonly SeatedBundle[]): readonly (readonly RankSeat[])[] {
  const { accelerator, worldSize, replicas } = plan;
  const first = seats[0]?.node;
  const able = seats
    .map((seat, bundle) => ({ ...seat, bundle }))
    .filter(({ bundle }) => accelerator === null || accelerator in (plan.bundles[bundle] ?? {}))
    .sort((a, b) => compareNodes(a.node, b.node, first) || a.bundle - b.bundle);
  // A replica may have written more bundles than it has ranks.
  const each = Math.floor(able.length / replicas.length);
  return replicas.map((_, position) => {
    const onNode = new Map<string, number>();
    return able.slice(position * each, position * each + worldSize).map(({ bundle, node, devices }) => {
      const localRank = onNode.get(node) ?? 0;
      onNode.set(node, localRank + 1);
      return { bundle, node, localRank, device: devices.find(({ resource }) => resource === accelerator) ?? null };
    });
  });
}

function compareNodes(a: string, b: string, first: string | undefined): number {
  if (a === b) return 0;
  if (a === first) return -1;
  if (b === first) return 1;
  return a < b ? -1 : 1;
}
