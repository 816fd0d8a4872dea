/** `list gangs` as rows and columns: one gang a replica. Pure. */
import type { HeadStatus } from '../../runtime/types.js';
import type { ReplicaStatus } from '../../serving/types.js';
import type { Cell, Column } from '../render/layout.js';
import { few, shortId, shortUuid } from './amounts.js';
import type { Kind } from './picture.js';
import { GANG_STATES } from './states.js';

/** The ranks of a replica. */
export interface GangRow {
  /** Of the server. */
  readonly instance: string;
  /** First name of the model. */
  readonly model: string;
  readonly replica: string;
  readonly state: ReplicaStatus['state'];
  /** Why it does not serve; null while it does. */
  readonly reason: string | null;
  readonly epoch: number;
  readonly restarts: number;
  readonly inFlight: number;
  readonly ranks: ReplicaStatus['ranks'];
  /** Id of its placement group; null: the server names none. */
  readonly group: string | null;
}

/** See {@link Kind}. */
export const GANGS: Kind<GangRow> = {
  things: 'gangs',
  states: GANG_STATES,
  fields: {
    instance: 'value',
    model: 'value',
    replica: 'value',
    state: 'value',
    reason: 'value',
    epoch: 'value',
    restarts: 'value',
    inFlight: 'value',
    group: 'value',
    ranks: [{ rank: 'value', pid: 'value', devices: ['value'], log: 'value' }],
  },
  passing: [],
};

/** Every replica of every server. */
export function gangRows(servers: readonly HeadStatus[]): GangRow[] {
  return servers.flatMap(({ instance, models }) =>
    models.flatMap((model) =>
      model.replicas.map((replica) => ({
        instance,
        model: model.names[0] ?? '',
        replica: replica.id,
        state: replica.state,
        reason: replica.state === 'ready' ? null : model.reason,
        epoch: replica.epoch,
        restarts: replica.restarts,
        inFlight: replica.inFlight,
        ranks: replica.ranks,
        // Servers of before placement groups name none.
        group: replica.group ?? null,
      })),
    ),
  );
}

/** Columns for these gangs. */
export function gangColumns(rows: readonly GangRow[]): Column<GangRow>[] {
  const several = new Set(rows.map(({ instance }) => instance)).size > 1;
  const grouped = rows.some(({ group }) => group !== null);
  return [
    { head: 'MODEL', cell: ({ model }) => model },
    { head: 'REPLICA', cell: ({ replica }) => replica },
    { head: 'STATE', cell: ({ state }) => gangState(state) },
    { head: 'RANKS', cell: ({ ranks }) => String(ranks.length) },
    {
      head: 'PIDS',
      cell: ({ ranks }) => few(ranks.flatMap(({ pid }) => (pid === null ? [] : [String(pid)]))),
      drop: 2,
    },
    { head: 'DEVICES', cell: ({ ranks }) => few(devicesOf(ranks)), drop: 3 },
    { head: 'RESTARTS', cell: ({ restarts }) => String(restarts) },
    { head: 'IN FLIGHT', cell: ({ inFlight }) => String(inFlight) },
    ...(grouped
      ? [{ head: 'GROUP', cell: ({ group }: GangRow) => (group === null ? '-' : shortId(group)), drop: 1 }]
      : []),
    ...(several ? [{ head: 'SERVER', cell: ({ instance }: GangRow) => instance, drop: 4 }] : []),
  ];
}

/** Why it does not serve. */
export function belowGang({ reason }: GangRow): Cell[] {
  return reason === null ? [] : [{ text: reason, format: 'yellow' }];
}

function gangState(state: string): Cell {
  if (state === 'ready') return { text: state, format: 'green' };
  return { text: state, format: state === 'failed' || state === 'stopped' ? 'red' : 'yellow' };
}

function devicesOf(ranks: GangRow['ranks']): string[] {
  return [...new Set(ranks.flatMap(({ devices }) => devices.map(shortUuid)))];
}
