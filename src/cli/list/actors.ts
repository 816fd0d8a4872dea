/** `list actors` as rows, columns and the lines below a row. Pure. */
import type { ListedActor } from '../../runtime/types.js';
import type { Cell, Column } from '../render/layout.js';
import { describeAmounts } from './amounts.js';
import type { NodeNames } from './groups.js';
import type { Kind } from './picture.js';
import { ACTOR_STATES } from './states.js';

/** See {@link Kind}. */
export const ACTORS: Kind<ListedActor> = {
  things: 'actors',
  states: ACTOR_STATES,
  fields: {
    id: 'value',
    class: 'value',
    name: 'value',
    namespace: 'value',
    detached: 'value',
    state: 'value',
    reason: 'value',
    restarts: 'value',
    pid: 'value',
    node: 'value',
    resources: 'map',
  },
  passing: [],
};

/** Columns for actors. */
export function actorColumns(nameOf: NodeNames): Column<ListedActor>[] {
  return [
    { head: 'ID', cell: ({ id }) => id },
    { head: 'CLASS', cell: (actor) => actor.class },
    { head: 'NAME', cell: ({ name }) => name || '-' },
    { head: 'NAMESPACE', cell: ({ namespace }) => namespace || '-', drop: 4 },
    { head: 'STATE', cell: ({ state }) => actorState(state) },
    { head: 'RESTARTS', cell: ({ restarts }) => String(restarts), drop: 2 },
    { head: 'PID', cell: ({ pid }) => (pid === null ? '-' : String(pid)) },
    { head: 'NODE', cell: ({ node }) => (node === null ? '-' : nameOf(node)), drop: 3 },
    { head: 'RESOURCES', cell: ({ resources }) => describeAmounts(resources), drop: 1 },
  ];
}

/** Lines of a reason that are shown: its first, and the last of what the process wrote. */
const MOST_LINES = 6;

/** Why it waits, starts again or is dead. */
export function belowActor({ state, reason }: ListedActor): Cell[] {
  if (reason === null) return [];
  const lines = reason.split('\n').filter((line) => line.trim() !== '');
  const [first = ''] = lines;
  const cut = lines.length - MOST_LINES;
  // Of those that wait every line counts: it is one a node.
  const shown =
    state === 'PENDING' || cut <= 0 ? lines : [first, `… ${cut + 1} lines (--json has all)`, ...lines.slice(cut + 2)];
  return shown.map((text) => ({ text, format: state === 'DEAD' ? 'dim' : 'yellow' }));
}

function actorState(state: ListedActor['state']): Cell {
  if (state === 'ALIVE') return { text: state, format: 'green' };
  return { text: state, format: state === 'DEAD' ? 'red' : 'yellow' };
}
