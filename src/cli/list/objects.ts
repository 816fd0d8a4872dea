/** `list objects` as rows and columns. Pure. */
import { formatBytes } from '../../config/quantity.js';
import type { ListedObject } from '../../runtime/types.js';
import type { Cell, Column } from '../render/layout.js';
import { few } from './amounts.js';
import type { Kind } from './picture.js';
import { OBJECT_STATES } from './states.js';

/** See {@link Kind}. */
export const OBJECTS: Kind<ListedObject> = {
  things: 'objects',
  states: OBJECT_STATES,
  fields: {
    id: 'value',
    state: 'value',
    bytes: 'value',
    where: 'value',
    holders: ['value'],
    owner: 'value',
    opens: 'value',
    waiters: 'value',
    containedIn: 'value',
  },
  passing: [],
};

/** Columns for these objects. */
export function objectColumns(rows: readonly ListedObject[]): Column<ListedObject>[] {
  const waited = rows.some(({ waiters }) => waiters > 0);
  const contained = rows.some(({ containedIn }) => containedIn > 0);
  return [
    { head: 'ID', cell: ({ id }) => id },
    { head: 'STATE', cell: ({ state }) => objectState(state) },
    { head: 'SIZE', cell: ({ bytes }) => formatBytes(bytes) },
    { head: 'WHERE', cell: ({ where }) => where },
    { head: 'HOLDERS', cell: ({ holders }) => few(holders.map(String)) },
    { head: 'OWNER', cell: ({ owner }) => (owner === null ? '-' : String(owner)), drop: 1 },
    { head: 'OPEN', cell: ({ opens }) => String(opens), drop: 2 },
    ...(waited ? [{ head: 'WAITING', cell: ({ waiters }: ListedObject) => String(waiters), drop: 3 }] : []),
    ...(contained ? [{ head: 'INSIDE', cell: ({ containedIn }: ListedObject) => String(containedIn), drop: 4 }] : []),
  ];
}

function objectState(state: ListedObject['state']): Cell {
  if (state === 'sealed') return { text: state, format: 'green' };
  return { text: state, format: state === 'failed' ? 'red' : 'yellow' };
}
