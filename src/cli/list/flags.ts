/** The flags of `status` and of every listing. Loads no listing. */
import { type Command, Option } from 'commander';
import { TwinkleError } from '../../errors.js';
import type { SelectionFlags } from './selection.js';

/** Seconds between two pictures when `--watch` says none. */
const WATCH_SECONDS = 2;

/** As commander hands them over. */
export interface ListFlags extends SelectionFlags {
  readonly home?: string;
  readonly json?: boolean;
  readonly watch?: string | true;
}

/** Add what every listing understands. @param states the words of `--state` @param example a `--filter` that makes sense there */
export function addListFlags(command: Command, states: readonly string[], example: string): Command {
  const collect = (value: string, earlier: readonly string[] | undefined): readonly string[] => [
    ...(earlier ?? []),
    value,
  ];
  return command
    .addOption(
      new Option('--state <STATE>', 'only those in this state; may be repeated').choices(states).argParser(collect),
    )
    .addOption(
      new Option(
        '--filter <KEY=VALUE>',
        `only those with this value in their JSON, or without it (KEY!=VALUE); KEY may be a path, as in ${example}; may be repeated`,
      ).argParser(collect),
    )
    .option('--limit <N>', 'no more than so many');
}

/** Add `--watch`. */
export function addWatchFlag(command: Command): Command {
  return command.option(
    '--watch [SECONDS]',
    `go on: redraw a terminal, or print what has changed, every so often (default: ${WATCH_SECONDS})`,
  );
}

/**
 * Milliseconds between two pictures; null: one picture only.
 * @throws `USAGE` for what is no number of seconds from 0.1 to 86400
 */
export function watchInterval({ watch }: Pick<ListFlags, 'watch'>): number | null {
  if (watch === undefined) return null;
  if (watch === true) return WATCH_SECONDS * 1000;
  const seconds = Number(watch);
  if (watch.trim() === '' || !(seconds >= 0.1 && seconds <= 86_400)) {
    throw new TwinkleError('USAGE', `expected seconds from 0.1 to 86400 for \`--watch\` but received "${watch}"`);
  }
  return seconds * 1000;
}
