/** How the devices of tensor-parallel bundles are linked, for people. Pure. */
import type { ClusterState } from './cluster-state.js';
import { fromUnits } from './resources.js';
import type { LinkKind, PlacedBundle } from './types.js';

/** A device, or a part of it. */
export interface BlockDevice {
  readonly resource: string;
  readonly instance: number;
  /** 1, or the part. */
  readonly quantity: number;
}

/** Bundles that work as one tensor-parallel group. */
export interface BlockLinks {
  readonly bundles: readonly number[];
  /** Devices by node, in the order of the bundles. */
  readonly nodes: readonly { readonly node: string; readonly devices: readonly BlockDevice[] }[];
  /** Kind → pairs on one node that are linked so; best first. */
  readonly pairs: readonly (readonly [kind: LinkKind, count: number])[];
}

const BEST_FIRST: readonly LinkKind[] = ['nvlink', 'hccs', 'pix', 'pxb', 'phb', 'node', 'sys', 'unknown'];

/**
 * The blocks of a placement that have two devices or more.
 * @param size consecutive bundles that belong together
 */
export function blockLinks(state: ClusterState, placed: readonly PlacedBundle[], size: number): BlockLinks[] {
  const sorted = [...placed].sort((a, b) => a.index - b.index);
  const blocks: BlockLinks[] = [];
  for (let start = 0; start < sorted.length; start += size) {
    const bundles = sorted.slice(start, start + size);
    const devices = bundles.flatMap(({ node, grant }) =>
      [...grant.instances].flatMap(([resource, pieces]) =>
        pieces.map(([instance, units]) => ({ node, resource, instance, quantity: fromUnits(units) })),
      ),
    );
    if (devices.length < 2) continue;
    const nodes = [...new Set(devices.map(({ node }) => node))].map((node) => ({
      node,
      devices: devices
        .filter((device) => device.node === node)
        .map(({ resource, instance, quantity }) => ({ resource, instance, quantity })),
    }));
    blocks.push({ bundles: bundles.map(({ index }) => index), nodes, pairs: pairsOf(state, devices) });
  }
  return blocks;
}

interface Held extends BlockDevice {
  readonly node: string;
}

function pairsOf(state: ClusterState, devices: readonly Held[]): (readonly [LinkKind, number])[] {
  const counts = new Map<LinkKind, number>();
  devices.forEach((a, at) => {
    for (const b of devices.slice(at + 1)) {
      if (a.node !== b.node || a.resource !== b.resource || a.instance === b.instance) continue;
      const kind = kindOf(state, a, b.instance);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  });
  return [...counts].sort(([a], [b]) => BEST_FIRST.indexOf(a) - BEST_FIRST.indexOf(b));
}

function kindOf(state: ClusterState, { node, resource, instance }: Held, other: number): LinkKind {
  const links = state.node(node)?.spec.devices.get(resource)?.links ?? [];
  const link = links.find(({ a, b }) => (a === instance && b === other) || (a === other && b === instance));
  return link?.kind ?? 'unknown';
}
