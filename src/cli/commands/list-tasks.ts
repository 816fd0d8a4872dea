/** `list tasks`: what every program and worker has called and not got yet. */
import type { Handler } from '../io.js';
import { gatherWork } from '../list/gather.js';
import { presentListing } from '../list/present.js';
import { TASKS, taskColumns, taskNotes } from '../list/tasks.js';
import { whyNothing } from '../list/why-nothing.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) =>
  presentListing(command, io, TASKS, async (home) => {
    const all = await gatherWork(home, 'tasks');
    return {
      rows: all.found.flatMap(({ tasks }) => tasks),
      notes: [...all.notes, ...all.found.flatMap(taskNotes)],
      nothing: whyNothing(TASKS.things, home, all),
      columns: () => taskColumns(Date.now()),
    };
  });
