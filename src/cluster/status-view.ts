/** The ledger as its users see it: plain JSON, with the names of devices in it. Reads only. */
import { fromUnits, isUnitResource, toQuantities } from '../scheduler/resources.js';
import type { Free, NodeSpec } from '../scheduler/types.js';
import type { BundleStatus, ClusterSnapshot, GroupStatus, NodeDeviceStatus, NodeStatus, SeatDevice } from './api.js';
import type { Holding, Ledger, LedgerStatus } from './ledger.js';
import type { BundleSeat, ClusterNode, GroupView } from './types.js';

/** One group; null: not known. */
export function groupStatus(ledger: Pick<Ledger, 'group' | 'status'>, id: string): GroupStatus | null {
  const view = ledger.group(id);
  return view === null ? null : statusOf(view, ledger.status());
}

/** Removed groups that a snapshot shows: those removed last. The ledger remembers more, for those who ask by id. */
const REMOVED_SHOWN = 50;

/**
 * Everything, at one version.
 * @param cluster id of the cluster
 */
export function snapshotOf(
  ledger: Pick<Ledger, 'epoch' | 'version' | 'groups' | 'nodes' | 'status'>,
  cluster: string,
): ClusterSnapshot {
  const status = ledger.status();
  return {
    cluster,
    epoch: ledger.epoch,
    version: ledger.version,
    nodes: Array.from(ledger.nodes(), (node) => nodeStatus(node, status)),
    groups: Array.from(ledger.groups(REMOVED_SHOWN), (view) => statusOf(view, status)),
  };
}

function statusOf(view: GroupView, status: LedgerStatus): GroupStatus {
  const { id, spec, owner, state, scheduling, reason, position, attempts, createdAt, seats } = view;
  const { name, namespace, lifetime, hold, task } = spec;
  const specs = new Map<string, NodeSpec | null>();
  const specFor = (node: string): NodeSpec | null => {
    const known = specs.get(node);
    if (known !== undefined) return known;
    const found = status.node(node)?.spec ?? null;
    specs.set(node, found);
    return found;
  };
  const bundles = spec.bundles.map((resources, index): BundleStatus => {
    const seat = seats[index] ?? null;
    return {
      index,
      resources,
      node: seat?.node ?? null,
      devices: seat === null ? [] : devicesOf(seat, specFor(seat.node)),
    };
  });
  return {
    id,
    kind: task === null ? 'group' : 'lease',
    name,
    namespace,
    lifetime,
    owner,
    strategy: task?.strategy.kind ?? spec.strategy,
    hold,
    state,
    scheduling,
    reason,
    position,
    attempts,
    createdAt,
    bundles,
  };
}

function devicesOf(seat: BundleSeat, spec: NodeSpec | null): SeatDevice[] {
  const devices: SeatDevice[] = [];
  for (const [resource, pieces] of seat.grant.instances) {
    for (const [instance, units] of pieces) {
      devices.push({ resource, instance, uuid: uuidOf(spec, resource, instance), quantity: fromUnits(units) });
    }
  }
  return devices;
}

/** Devices that nobody described are called by their resource and number. */
function uuidOf(spec: NodeSpec | null, resource: string, instance: number): string {
  return spec?.devices.get(resource)?.ids[instance] ?? `${resource}:${instance}`;
}

function nodeStatus(node: ClusterNode, status: LedgerStatus): NodeStatus {
  const { spec, name, address, state, silentMs, version, pid } = node;
  // Nothing of a dead node is free.
  const free = state === 'dead' ? null : status.free(spec.id);
  return {
    id: spec.id,
    name,
    address,
    state,
    silentMs,
    version,
    pid,
    resources: toQuantities(spec.total),
    available: free === null ? {} : toQuantities(free.amounts),
    labels: Object.fromEntries(spec.labels),
    devices: nodeDevices(spec, free, free === null ? [] : status.holdings(spec.id)),
  };
}

function nodeDevices(spec: NodeSpec, free: Free | null, holdings: Iterable<Holding>): NodeDeviceStatus[] {
  const holders = new Map<string, { group: string; bundle: number; quantity: number }[]>();
  for (const { group, bundle, grant } of holdings) {
    for (const [resource, pieces] of grant.instances) {
      for (const [instance, units] of pieces) {
        const key = `${resource}:${instance}`;
        const held = holders.get(key) ?? [];
        holders.set(key, held);
        held.push({ group, bundle, quantity: fromUnits(units) });
      }
    }
  }
  const devices: NodeDeviceStatus[] = [];
  for (const [resource, units] of spec.total) {
    if (!isUnitResource(resource)) continue;
    for (let instance = 0; instance < fromUnits(units); instance++) {
      devices.push({
        resource,
        instance,
        uuid: uuidOf(spec, resource, instance),
        numa: spec.devices.get(resource)?.numa[instance] ?? null,
        free: fromUnits(free?.instances.get(resource)?.[instance] ?? 0),
        heldBy: holders.get(`${resource}:${instance}`) ?? [],
      });
    }
  }
  return devices;
}
