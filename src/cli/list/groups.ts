/** `list placement-groups` as rows, columns and the lines below a row. Pure. */
import type { BundleStatus, GroupStatus, NodeStatus } from '../../cluster/api.js';
import { type Cell, type Column, layOut } from '../render/layout.js';
import { formatDuration } from '../render/table.js';
import { describeAmounts, exact, few, shortId, shortUuid } from './amounts.js';
import type { FoundCluster } from './gather.js';
import { clusterColumn } from './nodes.js';
import type { Kind } from './picture.js';
import { GROUP_STATES } from './states.js';

/** A placement group of a cluster. */
export interface GroupRow extends Omit<GroupStatus, 'kind'> {
  readonly cluster: string;
}

/** See {@link Kind}. */
export const GROUPS: Kind<GroupRow> = {
  things: 'placement groups',
  states: GROUP_STATES,
  fields: {
    id: 'value',
    name: 'value',
    namespace: 'value',
    lifetime: 'value',
    owner: 'value',
    strategy: 'value',
    hold: 'value',
    state: 'value',
    scheduling: 'value',
    reason: 'value',
    position: 'value',
    attempts: 'value',
    createdAt: 'value',
    cluster: 'value',
    bundles: [
      {
        index: 'value',
        resources: 'map',
        node: 'value',
        devices: [{ resource: 'value', instance: 'value', uuid: 'value', quantity: 'value' }],
      },
    ],
  },
  passing: [],
};

/** All groups of all clusters, without leases. */
export function groupRows(clusters: readonly FoundCluster[]): GroupRow[] {
  return clusters.flatMap(({ snapshot: { cluster, groups } }) =>
    groups.flatMap(({ kind, ...group }) => (kind === 'lease' ? [] : [{ ...group, cluster }])),
  );
}

/** Node id → what people call it. Ids of nodes that are gone stay ids. */
export type NodeNames = (id: string) => string;

/** The names of all nodes of all clusters. */
export function nodeNames(clusters: readonly FoundCluster[]): NodeNames {
  const nodes: readonly NodeStatus[] = clusters.flatMap(({ snapshot }) => snapshot.nodes);
  const names = new Map(nodes.map(({ id, name }) => [id, name]));
  return (id) => names.get(id) || shortId(id);
}

/** Columns for these groups. @param nowMs unix ms, for their age */
export function groupColumns(rows: readonly GroupRow[], nameOf: NodeNames, nowMs: number): Column<GroupRow>[] {
  return [
    { head: 'ID', cell: ({ id }) => shortId(id) },
    { head: 'NAME', cell: ({ name }) => name || '-' },
    { head: 'NAMESPACE', cell: ({ namespace }) => namespace || '-', drop: 4 },
    { head: 'STRATEGY', cell: ({ strategy }) => strategy, drop: 1 },
    { head: 'STATE', cell: ({ state }) => groupState(state) },
    { head: 'SCHEDULING', cell: ({ scheduling }) => scheduling, drop: 3 },
    {
      head: 'BUNDLES',
      cell: ({ bundles }) => `${bundles.filter(({ node }) => node !== null).length}/${bundles.length}`,
    },
    { head: 'NODES', cell: ({ bundles }) => few(nodesOf(bundles).map(nameOf), 3), drop: 2 },
    { head: 'AGE', cell: ({ createdAt }) => formatDuration(nowMs - createdAt), drop: 1, passing: true },
    { head: 'OWNER', cell: ({ owner, lifetime }) => owner ?? (lifetime === 'detached' ? 'detached' : '-'), drop: 5 },
    ...clusterColumn(rows),
  ];
}

/** Why a group waits and, in detail, where each bundle is. */
export function belowGroup(group: GroupRow, nameOf: NodeNames, detail: boolean): Cell[] {
  return [...waiting(group), ...(detail ? bundleLines(group.bundles, nameOf) : [])];
}

function waiting({ state, position, attempts, reason }: GroupRow): Cell[] {
  if (position === null && reason === null) return [];
  const place = position === null ? [] : [`place ${position + 1} in the queue`];
  const tries = attempts === 0 ? [] : [`${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`];
  const facts = [...place, ...tries].join(', ');
  const format = state === 'REMOVED' ? 'dim' : 'yellow';
  // A reason per node may be a line each.
  const lines = [facts, reason].filter(Boolean).join(': ').split('\n');
  return lines.map((text) => ({ text, format }));
}

function bundleLines(bundles: readonly BundleStatus[], nameOf: NodeNames): readonly Cell[] {
  const columns: Column<BundleStatus>[] = [
    { head: 'BUNDLE', cell: ({ index }) => String(index) },
    { head: 'RESOURCES', cell: ({ resources }) => describeAmounts(resources) },
    { head: 'NODE', cell: ({ node }) => (node === null ? '-' : nameOf(node)) },
    { head: 'DEVICES', cell: ({ devices }) => devices.map(describeDevice).join(', ') || '-' },
  ];
  const rows = bundles.map((bundle) => ({ cells: columns.map((column) => column.cell(bundle)), below: [] }));
  return layOut(columns, rows, null, (_, text) => text).lines;
}

/** `GPU 3 (GPU-8f4e2a1c)`, with the fraction where it is one. */
function describeDevice({ resource, instance, uuid, quantity }: BundleStatus['devices'][number]): string {
  const part = quantity === 1 ? '' : ` ×${exact(quantity)}`;
  return `${resource} ${instance}${part}${uuid === '' ? '' : ` (${shortUuid(uuid)})`}`;
}

function groupState(state: string): Cell {
  if (state === 'CREATED') return { text: state, format: 'green' };
  return { text: state, format: state === 'REMOVED' ? 'dim' : 'yellow' };
}

function nodesOf(bundles: readonly BundleStatus[]): string[] {
  return [...new Set(bundles.flatMap(({ node }) => (node === null ? [] : [node])))];
}
