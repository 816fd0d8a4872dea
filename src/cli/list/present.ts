/** Shows a picture once, or again and again with `--watch`. Knows flags and streams; not what is listed. */
import type { Command } from 'commander';
import { EXIT } from '../../errors.js';
import { homeFolder } from '../home.js';
import type { CliIo } from '../io.js';
import { painter } from '../render/style.js';
import { type ListFlags, watchInterval } from './flags.js';
import { drawJson, drawTable, type Kind, type Moment, type Picture } from './picture.js';
import { compileSelection } from './selection.js';
import { isScreen, screenViewer, streamViewer } from './viewers.js';
import { SYSTEM_CLOCK, watch } from './watch.js';

/**
 * Run a listing command.
 * @param take asks for what there is now
 * @returns the exit code: 0, also where somebody did not answer
 * @throws `USAGE` for a wrong flag, before anything is asked
 */
export function presentListing<Row extends object>(
  command: Command,
  io: CliIo,
  kind: Kind<Row>,
  take: (home: string) => Promise<Moment<Row>>,
): Promise<number> {
  const flags = command.opts<ListFlags>();
  const selection = compileSelection(flags, kind);
  const home = homeFolder(flags.home, io);
  const paint = painter(io.stdout, io.env);
  return present(titleOf(command), flags, io, async () => {
    const moment = await take(home);
    return flags.json === true ? drawJson(kind, moment, selection) : drawTable(kind, moment, selection, paint);
  });
}

/** `twinkle-node list gangs`. */
function titleOf(command: Command): string {
  return command.parent === null ? command.name() : `${titleOf(command.parent)} ${command.name()}`;
}

/** Show what `take` draws: once, or until a signal with `--watch`. */
export async function present(
  title: string,
  flags: Pick<ListFlags, 'json' | 'watch'>,
  io: CliIo,
  take: () => Promise<Picture>,
): Promise<number> {
  const intervalMs = watchInterval(flags);
  if (intervalMs === null) {
    const picture = await take();
    const paint = painter(io.stderr, io.env);
    for (const note of picture.notes) io.stderr.write(`${paint('yellow', note)}\n`);
    io.stdout.write(picture.text(io.stdout.isTTY === true ? (io.stdout.columns ?? null) : null));
    return EXIT.ok;
  }
  const screen = flags.json !== true && isScreen(io);
  const viewer = screen
    ? screenViewer({
        io,
        title: `${title}  every ${intervalMs / 1000} s`,
        suspend: () => process.kill(process.pid, 'SIGSTOP'),
      })
    : streamViewer(io, flags.json === true ? '' : '\n');
  await watch(take, { io, intervalMs, viewer, clock: SYSTEM_CLOCK });
  return EXIT.ok;
}
