/** Forms that travel and are journaled ↔ forms that the scheduler works on. Pure. */
import { fromUnits, toQuantities, toResources, toUnits } from '../scheduler/resources.js';
import type { Grant, LinkKind, NodeDevices, NodeSpec } from '../scheduler/types.js';
import type { NodeHello, WireDevices, WireGrant } from './types.js';

const LINK_KINDS: ReadonlySet<string> = new Set<LinkKind>([
  'nvlink',
  'hccs',
  'pix',
  'pxb',
  'phb',
  'node',
  'sys',
  'unknown',
]);

/** Units → quantities: `{ GPU: 10000 }` becomes `{ GPU: 1 }`. */
export function grantToWire(grant: Grant): WireGrant {
  const instances: Record<string, (readonly [number, number])[]> = {};
  for (const [name, pieces] of grant.instances) {
    instances[name] = pieces.map(([instance, units]) => [instance, fromUnits(units)]);
  }
  return { resources: toQuantities(grant.resources), instances };
}

/** Quantities → units; exact for everything that {@link grantToWire} wrote. */
export function grantFromWire(wire: WireGrant): Grant {
  const instances = new Map<string, readonly (readonly [number, number])[]>();
  for (const name in wire.instances) {
    const pieces = wire.instances[name] ?? [];
    instances.set(
      name,
      pieces.map(([instance, quantity]) => [instance, toUnits(name, quantity)]),
    );
  }
  return { resources: toResources(wire.resources), instances };
}

/** The node that a hello describes. A kind of link that this version does not know is `unknown`. */
export function helloToSpec(hello: Pick<NodeHello, 'id' | 'total' | 'labels' | 'devices'>): NodeSpec {
  return {
    id: hello.id,
    total: toResources(hello.total),
    labels: new Map(Object.entries(hello.labels)),
    devices: new Map(Object.entries(hello.devices).map(([name, devices]) => [name, devicesFromWire(devices)])),
  };
}

function devicesFromWire(wire: WireDevices): NodeDevices {
  const links = wire.links.map((link) => ({
    ...link,
    kind: LINK_KINDS.has(link.kind) ? (link.kind as LinkKind) : ('unknown' as const),
  }));
  return { ids: wire.ids, numa: wire.numa, links };
}
