/** `list gangs`: the ranks of every replica of every running server. */
import type { Handler } from '../io.js';
import { belowGang, GANGS, gangColumns, gangRows } from '../list/gangs.js';
import { gatherStatus, serversOf } from '../list/gather.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) =>
  presentListing(command, io, GANGS, async (home) => {
    const all = await gatherStatus(home);
    return {
      rows: gangRows(serversOf(all.found)),
      notes: all.notes,
      nothing: whyNothing(GANGS.things, home, all),
      columns: gangColumns,
      below: belowGang,
    };
  });
