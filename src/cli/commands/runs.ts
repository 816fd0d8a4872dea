/** `runs`: what clients of the Tinker API train on the servers of this box, and one run with the curve of its loss. */
import type { Command } from 'commander';
import { TwinkleError } from '../../errors.js';
import { askRun } from '../admin.js';
import { homeFolder } from '../home.js';
import type { CliIo, Handler } from '../io.js';
import type { ListFlags } from '../list/flags.js';
import { gatherRuns } from '../list/gather.js';
import { present, presentListing } from '../list/present.js';
import { drawRun, drawRunJson, type ShownRun } from '../list/run-view.js';
import { belowRun, chosenRun, RUNS, runColumns, runRows } from '../list/runs.js';
import { whyNothing } from '../list/why-nothing.js';
import { isPlain, painter } from '../render/style.js';

/** See {@link Handler}. */
export const run: Handler = (command, { io }) => {
  const [word] = command.args;
  return word === undefined ? listRuns(command, io) : showRun(command, io, word);
};

function listRuns(command: Command, io: CliIo): Promise<number> {
  return presentListing(command, io, RUNS, async (home) => {
    const all = await gatherRuns(home);
    return {
      rows: runRows(all.found),
      notes: all.notes,
      nothing: whyNothing(RUNS.things, home, all),
      columns: (rows) => runColumns(rows, Date.now()),
      below: belowRun,
    };
  });
}

function showRun(command: Command, io: CliIo, word: string): Promise<number> {
  const flags = command.opts<ListFlags>();
  for (const name of ['state', 'filter', 'limit'] as const) {
    if (flags[name] !== undefined)
      throw new TwinkleError('USAGE', `\`--${name}\` chooses among runs, and "${word}" names one: give one of them`);
  }
  const home = homeFolder(flags.home, io);
  const paint = painter(io.stdout, io.env);
  return present(`twinkle-node runs ${word}`, flags, io, async () => {
    const shown = await find(home, word);
    if (flags.json === true) return drawRunJson(shown);
    return drawRun(shown, { paint, ascii: isPlain(io.env), rows: io.stdout.rows ?? 24, nowMs: Date.now() });
  });
}

async function find(home: string, word: string): Promise<ShownRun> {
  const { found } = await gatherRuns(home);
  const { id, instance } = chosenRun(word, runRows(found));
  const teller = found.find((one) => one.teller.instance === instance)?.teller;
  const detail = teller === undefined ? null : await askRun(teller, id);
  if (detail === null) throw new TwinkleError('RUN_NOT_FOUND', `run ${id} has just ended`);
  if ('silent' in detail) throw new TwinkleError('RUN_NOT_FOUND', `run ${id} cannot be shown: ${detail.silent}`);
  return { instance, ...detail };
}
