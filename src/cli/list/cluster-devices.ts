/** `list devices --cluster`: the devices of every node, as the ledger knows them. Pure. */
import type { NodeDeviceStatus, NodeStatus } from '../../cluster/api.js';
import type { HeadStatus } from '../../runtime/types.js';
import type { Cell, Column } from '../render/layout.js';
import { exact, shortId } from './amounts.js';
import { HOLDER_FIELDS } from './devices.js';
import type { FoundCluster } from './gather.js';
import { describeHeld, describeHolders, deviceState, type Holder } from './holders.js';
import { clusterColumn } from './nodes.js';
import type { Kind } from './picture.js';
import { DEVICE_STATES, type DeviceState } from './states.js';

/** A device of a node. */
export interface ClusterDeviceRow extends Omit<NodeDeviceStatus, 'heldBy'> {
  readonly cluster: string;
  /** Id of its node. */
  readonly node: string;
  readonly nodeName: string;
  readonly nodeState: NodeStatus['state'];
  readonly state: DeviceState;
  readonly heldBy: readonly Holder[];
}

/** See {@link Kind}. */
export const CLUSTER_DEVICES: Kind<ClusterDeviceRow> = {
  things: 'devices',
  states: DEVICE_STATES,
  fields: {
    cluster: 'value',
    node: 'value',
    nodeName: 'value',
    nodeState: 'value',
    state: 'value',
    resource: 'value',
    instance: 'value',
    uuid: 'value',
    numa: 'value',
    free: 'value',
    heldBy: [HOLDER_FIELDS],
  },
  passing: [],
};

/** Every device of every node. */
export function clusterDeviceRows(
  clusters: readonly FoundCluster[],
  servers: readonly HeadStatus[],
): ClusterDeviceRow[] {
  return clusters.flatMap((found) => {
    const { cluster, nodes } = found.snapshot;
    const describe = describeHolders(found, servers);
    return nodes.flatMap(({ id, name, state: nodeState, devices }) =>
      devices.map((device) => {
        const heldBy = device.heldBy.map(describe);
        return { ...device, heldBy, state: deviceState(heldBy), cluster, node: id, nodeName: name, nodeState };
      }),
    );
  });
}

/** Columns for devices of nodes. */
export function clusterDeviceColumns(rows: readonly ClusterDeviceRow[]): Column<ClusterDeviceRow>[] {
  return [
    { head: 'NODE', cell: nodeCell },
    { head: 'DEVICE', cell: ({ resource, instance }) => `${resource} ${instance}` },
    { head: 'STATE', cell: ({ state }) => deviceWord(state) },
    { head: 'FREE', cell: ({ free }) => exact(free), drop: 1 },
    { head: 'NUMA', cell: ({ numa }) => (numa === null ? '-' : String(numa)), drop: 2 },
    { head: 'GROUP', cell: ({ heldBy }) => describeHeld(heldBy) },
    { head: 'UUID', cell: ({ uuid }) => uuid || '-', drop: 3 },
    ...clusterColumn(rows),
  ];
}

/** A node that takes nothing says so: its devices are free for nobody. */
function nodeCell({ nodeName, node, nodeState }: ClusterDeviceRow): Cell {
  const name = nodeName || shortId(node);
  if (nodeState === 'alive') return name;
  return { text: `${name} (${nodeState})`, format: nodeState === 'dead' ? 'red' : 'yellow' };
}

function deviceWord(state: DeviceState): Cell {
  if (state === 'held') return { text: state, format: 'cyan' };
  return { text: state, format: state === 'free' ? 'green' : 'yellow' };
}
