/** `list actors`: the actors of the head, and why one waits or is dead. */
import type { Handler } from '../io.js';
import { ACTORS, actorColumns, belowActor } from '../list/actors.js';
import { gatherClusters, gatherWork } from '../list/gather.js';
import { nodeNames } from '../list/groups.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) =>
  presentListing(command, io, ACTORS, async (home) => {
    const [all, clusters] = await Promise.all([gatherWork(home, 'actors'), gatherClusters(home)]);
    const nameOf = nodeNames(clusters.found);
    return {
      rows: all.found.flatMap(({ actors }) => actors),
      notes: all.notes,
      nothing: whyNothing(ACTORS.things, home, all),
      columns: () => actorColumns(nameOf),
      below: belowActor,
    };
  });
