/** `list objects`: what the head keeps, how large it is, and who holds it. */
import type { Handler } from '../io.js';
import { gatherWork } from '../list/gather.js';
import { OBJECTS, objectColumns } from '../list/objects.js';
import { presentListing } from '../list/present.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) =>
  presentListing(command, io, OBJECTS, async (home) => {
    const all = await gatherWork(home, 'objects');
    return {
      rows: all.found.flatMap(({ objects }) => objects),
      notes: all.notes,
      nothing: whyNothing(OBJECTS.things, home, all),
      columns: objectColumns,
    };
  });
