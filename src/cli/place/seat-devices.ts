/** The devices of a grant as a what-if shows them. Pure. */
import type { ClusterState } from '../../scheduler/cluster-state.js';
import { fromUnits } from '../../scheduler/resources.js';
import type { Grant } from '../../scheduler/types.js';
import { formatRanges } from '../../util/ranges.js';

/** A device of a bundle or an actor. */
export interface WhatIfDevice {
  readonly resource: string;
  readonly instance: number;
  /** Null: the node's description names none. */
  readonly uuid: string | null;
  /** 1, or the part of it. */
  readonly quantity: number;
}

/** Devices in the order of the grant. */
export function seatDevices(state: ClusterState, node: string, grant: Grant): WhatIfDevice[] {
  const known = state.node(node)?.spec.devices;
  return [...grant.instances].flatMap(([resource, pieces]) =>
    pieces.map(([instance, units]) => ({
      resource,
      instance,
      uuid: known?.get(resource)?.ids[instance] ?? null,
      quantity: fromUnits(units),
    })),
  );
}

/** `GPU 0-3, NPU 1 (0.5)`; without devices a dash. */
export function describeDevices(devices: readonly Pick<WhatIfDevice, 'resource' | 'instance' | 'quantity'>[]): string {
  const resources = [...new Set(devices.map(({ resource }) => resource))];
  const texts = resources.flatMap((resource) => {
    const own = devices.filter((device) => device.resource === resource);
    const whole = own.filter(({ quantity }) => quantity === 1).map(({ instance }) => instance);
    const parts = own.filter(({ quantity }) => quantity < 1);
    return [
      ...(whole.length === 0 ? [] : [`${resource} ${formatRanges(whole)}`]),
      ...parts.map(({ instance, quantity }) => `${resource} ${instance} (${quantity})`),
    ];
  });
  return texts.join(', ') || '-';
}
