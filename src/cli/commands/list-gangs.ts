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
    const servers = serversOf(all.found);
    const onlyHeads = servers.length === 0 && all.found.length > 0 && all.found.length === all.running;
    return {
      rows: gangRows(servers),
      notes: all.notes,
      nothing: onlyHeads ? `no gangs: no server runs in ${home}` : whyNothing(GANGS.things, home, all),
      columns: gangColumns,
      below: belowGang,
    };
  });
