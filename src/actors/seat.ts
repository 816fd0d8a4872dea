/** A place on this node for a worker: a lease of the ledger, and what the worker may see of the devices in it. */
import type { Cluster, Group, GroupStatus, SeatDevice } from '../cluster/api.js';
import { groupSpec } from '../cluster/group-spec.js';
import type { TaskPlacementSpec } from '../cluster/types.js';
import { TwinkleError } from '../errors.js';
import type { Demand, Setup } from '../protocol/work.js';

export interface Seat {
  readonly group: Group;
  readonly node: string;
  readonly devices: Setup['devices'];
  /** Masks of accelerators, and the demand's own variables. */
  readonly env: Readonly<Record<string, string>>;
}

/** Variables that hide devices from a vendor's runtime, by resource. */
const MASKS: Readonly<Record<string, string>> = { GPU: 'CUDA_VISIBLE_DEVICES', NPU: 'ASCEND_RT_VISIBLE_DEVICES' };

/**
 * Ask the ledger. The group is there at once; its place may take as long as others need theirs.
 * @param needs what must be free beyond what is held
 * @throws `PLACEMENT_INVALID`, `INVALID_REQUEST`
 */
export async function askForSeat(
  cluster: Cluster,
  demand: Demand,
  preferred: string,
  needs: TaskPlacementSpec['needs'],
): Promise<Group> {
  if (demand.group !== null) {
    throw new TwinkleError('UNSUPPORTED_PARAMETER', 'a place in a placement group cannot be asked for yet');
  }
  const { strategy } = demand;
  if (strategy !== 'default' && strategy !== 'spread' && strategy !== 'node') {
    throw new TwinkleError(
      'INVALID_REQUEST',
      `expected default, spread or node for \`strategy\` but received ${JSON.stringify(strategy.slice(0, 60))}`,
    );
  }
  const spec = groupSpec({
    bundles: [demand.resources],
    selectors: Object.keys(demand.selectors).length === 0 ? null : [demand.selectors],
    hold: 'stateful',
    task: { strategy: strategyOf(demand), preferred, needs },
  });
  return await cluster.createGroup(spec);
}

function strategyOf({ strategy, node, soft }: Demand): TaskPlacementSpec['strategy'] {
  if (strategy === 'spread') return { kind: 'spread' };
  if (strategy === 'node') {
    return { kind: 'node-affinity', node, soft, spillOnUnavailable: false, failOnUnavailable: false };
  }
  return { kind: 'default' };
}

/**
 * What a worker in that place is told.
 * @param indexOf the number by which a vendor's runtime knows a device
 * @param mayMask false: the user keeps that variable (`NOSET`)
 */
export function seatOf(
  group: Group,
  status: GroupStatus,
  demand: Demand,
  indexOf: (device: SeatDevice) => string,
  mayMask: (variable: string) => boolean,
): Seat {
  const [bundle] = status.bundles;
  const node = bundle?.node ?? null;
  if (bundle === undefined || node === null) throw new TwinkleError('GROUP_REMOVED', `lease ${group.id} has no node`);
  const devices: Record<string, string[]> = {};
  const env: Record<string, string> = {};
  for (const device of bundle.devices) {
    devices[device.resource] = [...(devices[device.resource] ?? []), String(device.instance)];
    const mask = MASKS[device.resource];
    if (mask === undefined || !mayMask(mask)) continue;
    env[mask] = env[mask] === undefined ? indexOf(device) : `${env[mask]},${indexOf(device)}`;
  }
  return { group, node, devices, env: { ...env, ...demand.env } };
}

/** Give a place back. Who used its devices must have stopped. A ledger that cannot say so now keeps it until this process ends. */
export function leave(group: Group | null): void {
  group?.remove().catch(() => {});
}
