/** `list nodes` as rows and columns. Pure. */
import type { NodeStatus } from '../../cluster/api.js';
import type { Cell, Column } from '../render/layout.js';
import { formatDuration } from '../render/table.js';
import { shortId, usage } from './amounts.js';
import type { FoundCluster } from './gather.js';
import type { Kind } from './picture.js';
import { NODE_STATES } from './states.js';

/** A node of a cluster. */
export interface NodeRow extends NodeStatus {
  readonly cluster: string;
}

/** See {@link Kind}. */
export const NODES: Kind<NodeRow> = {
  things: 'nodes',
  states: NODE_STATES,
  fields: {
    id: 'value',
    name: 'value',
    address: 'value',
    state: 'value',
    silentMs: 'value',
    version: 'value',
    pid: 'value',
    cluster: 'value',
    resources: 'map',
    available: 'map',
    labels: 'map',
    devices: [
      {
        resource: 'value',
        instance: 'value',
        uuid: 'value',
        numa: 'value',
        free: 'value',
        heldBy: [{ group: 'value', bundle: 'value', quantity: 'value' }],
      },
    ],
  },
  passing: ['silentMs'],
};

/** All nodes of all clusters. */
export function nodeRows(clusters: readonly FoundCluster[]): NodeRow[] {
  return clusters.flatMap(({ snapshot: { cluster, nodes } }) =>
    nodes.map((node) => ({ ...node, silentMs: Math.round(node.silentMs), cluster })),
  );
}

/** Resources with a column of their own where any node has them. */
const OWN_COLUMN = ['CPU', 'GPU', 'NPU', 'memory'];

/** Columns for these nodes. */
export function nodeColumns(rows: readonly NodeRow[]): Column<NodeRow>[] {
  const has = (name: string): boolean => rows.some(({ resources }) => name in resources);
  const amounts = OWN_COLUMN.filter((name) => name === 'CPU' || has(name));
  const others = rows.some((node) => otherAmounts(node) !== '-');
  return [
    { head: 'NAME', cell: ({ name }) => name },
    { head: 'ID', cell: ({ id }) => shortId(id), drop: 2 },
    { head: 'ADDRESS', cell: ({ address }) => address, drop: 3 },
    { head: 'STATE', cell: ({ state }) => nodeState(state) },
    ...amounts.map((name) => ({ head: name.toUpperCase(), cell: (node: NodeRow) => usage(node, name) })),
    ...(others ? [{ head: 'OTHER', cell: otherAmounts, drop: 4 }] : []),
    { head: 'HEARD', cell: ({ silentMs }) => `${silence(silentMs)} ago`, drop: 1, passing: true },
    { head: 'VERSION', cell: ({ version }) => version, drop: 6 },
    ...clusterColumn(rows),
  ];
}

/** The column that tells clusters apart, where there are several. */
export function clusterColumn<Row extends { readonly cluster: string }>(rows: readonly Row[]): Column<Row>[] {
  if (new Set(rows.map(({ cluster }) => cluster)).size < 2) return [];
  return [{ head: 'CLUSTER', cell: ({ cluster }) => shortId(cluster), drop: 5 }];
}

function nodeState(state: string): Cell {
  if (state === 'alive') return { text: state, format: 'green' };
  return { text: state, format: state === 'dead' ? 'red' : 'yellow' };
}

function otherAmounts(node: NodeRow): string {
  const names = Object.keys(node.resources).filter((name) => !OWN_COLUMN.includes(name));
  return names.map((name) => `${name} ${usage(node, name)}`).join(', ') || '-';
}

/** Beats come every half second, so tenths matter at first. */
function silence(ms: number): string {
  return ms < 10_000 ? `${(Math.max(0, ms) / 1000).toFixed(1)} s` : formatDuration(ms);
}
