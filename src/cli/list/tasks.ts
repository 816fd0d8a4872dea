/** `list tasks` as rows and columns: the calls whose results their callers have not got yet. Pure. */
import type { ListedTask, ListedTasks } from '../../runtime/types.js';
import type { Cell, Column } from '../render/layout.js';
import { formatDuration } from '../render/table.js';
import { few } from './amounts.js';
import type { Kind } from './picture.js';
import { TASK_STATES } from './states.js';

/** See {@link Kind}. */
export const TASKS: Kind<ListedTask> = {
  things: 'tasks',
  states: TASK_STATES,
  fields: {
    id: 'value',
    name: 'value',
    kind: 'value',
    state: 'value',
    since: 'value',
    worker: 'value',
    pid: 'value',
    callerPid: 'value',
  },
  passing: [],
};

/** Columns for tasks. @param nowMs unix ms, for how long they are in their state */
export function taskColumns(nowMs: number): Column<ListedTask>[] {
  return [
    { head: 'ID', cell: ({ id }) => id },
    { head: 'NAME', cell: ({ name }) => name },
    { head: 'KIND', cell: ({ kind }) => kind, drop: 2 },
    { head: 'STATE', cell: ({ state }) => taskState(state) },
    { head: 'AGE', cell: ({ since }) => formatDuration(nowMs - since), passing: true },
    { head: 'WORKER', cell: ({ worker }) => (worker === null ? '-' : String(worker)), drop: 1 },
    { head: 'PID', cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
    { head: 'CALLER PID', cell: ({ callerPid }) => String(callerPid) },
  ];
}

/** Who did not tell, or not all. */
export function taskNotes({ silent, untold }: ListedTasks): string[] {
  const pids = silent.map(({ pid }) => String(pid));
  const who = silent.length === 1 ? `pid ${pids[0]} does not` : `${pids.length} processes do not`;
  const which = silent.length === 1 ? '' : ` (pids ${few(pids, 8)})`;
  return [
    ...(silent.length === 0 ? [] : [`${who} say what was called there: busy or stopped${which}`]),
    ...untold.map(({ pid, calls }) => `pid ${pid} has called ${calls} more`),
  ];
}

function taskState(state: ListedTask['state']): Cell {
  return { text: state, format: state === 'RUNNING' ? 'green' : 'yellow' };
}
