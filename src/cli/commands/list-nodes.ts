/** `list nodes`: the nodes of every cluster that a process of this home belongs to. */
import type { Handler } from '../io.js';
import { gatherClusters } from '../list/gather.js';
import { NODES, nodeColumns, nodeRows } from '../list/nodes.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) =>
  presentListing(command, io, NODES, async (home) => {
    const all = await gatherClusters(home);
    return {
      rows: nodeRows(all.found),
      notes: all.notes,
      nothing: whyNothing(NODES.things, home, all),
      columns: nodeColumns,
    };
  });
