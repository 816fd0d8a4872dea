/** `list placement-groups`: what was asked for, where it is, and why it waits. */
import type { Handler } from '../io.js';
import { gatherClusters } from '../list/gather.js';
import { belowGroup, GROUPS, groupColumns, groupRows, nodeNames } from '../list/groups.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) => {
  const detail = command.opts<{ detail?: boolean }>().detail === true;
  return presentListing(command, io, GROUPS, async (home) => {
    const all = await gatherClusters(home);
    const nameOf = nodeNames(all.found);
    return {
      rows: groupRows(all.found),
      notes: all.notes,
      nothing: whyNothing(GROUPS.things, home, all),
      columns: (rows) => groupColumns(rows, nameOf, Date.now()),
      below: (group) => belowGroup(group, nameOf, detail),
    };
  });
};
