/** `logs`: what the ranks of a server wrote, also after its end. */

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, TwinkleError } from '../../errors.js';
import { fileName } from '../../util/file-name.js';
import { findInstance, homeFolder, runningInstances } from '../home.js';
import type { Handler } from '../io.js';
import { LogFollower } from '../log-follow.js';
import { readableLine } from '../render/log-line.js';
import { painter } from '../render/style.js';
import { EndSignals } from '../serve/signals.js';

/** See {@link Handler}. */
export const run: Handler = async (command, { io }) => {
  const flags = command.opts<{ home?: string; follow?: boolean; rank?: string; model?: string; lines: string }>();
  const lines = wholeNumber(flags.lines, '--lines');
  const rank = flags.rank === undefined ? null : wholeNumber(flags.rank, '--rank');
  const home = homeFolder(flags.home, io);
  const folder = logFolder(home, command.args[0]);
  const accepts = (file: string): boolean => isWanted(file, rank, flags.model ?? null);
  const paint = painter(io.stdout, io.env);
  const several = readdirSync(folder).filter(accepts).length > 1 || flags.follow === true;
  const follower = new LogFollower(folder, accepts, (file, line) => {
    const prefix = several ? `${paint('cyan', file.replace(/\.log$/, ''))} | ` : '';
    io.stdout.write(`${prefix}${readableLine(line)}\n`);
  });
  if (follower.files().length === 0 && flags.follow !== true) {
    const there = readdirSync(folder).filter((name) => name.endsWith('.log'));
    throw new TwinkleError(
      'USAGE',
      `no log fits in ${folder}; ${there.length === 0 ? 'nothing was logged there' : `there are ${there.join(', ')}`}`,
    );
  }
  follower.tail(lines, flags.follow !== true);
  if (flags.follow !== true) return EXIT.ok;
  const signals = new EndSignals(io.signals);
  const stop = follower.follow();
  await signals.first;
  stop();
  signals.close();
  return EXIT.ok;
};

/** The folder of an instance; without one, the newest running or, when nothing runs, the newest at all. */
function logFolder(home: string, id: string | undefined): string {
  const all = join(home, 'logs');
  if (id !== undefined) return existsSync(join(all, id)) ? join(all, id) : findInstance(home, id).file.logs;
  const newest = runningInstances(home).at(-1);
  if (newest !== undefined) return newest.file.logs;
  const ended = existsSync(all) ? readdirSync(all).map((name) => join(all, name)) : [];
  const last = ended
    .filter((path) => statSync(path).isDirectory())
    .sort((a, b) => statSync(a).mtimeMs - statSync(b).mtimeMs)
    .at(-1);
  if (last === undefined)
    throw new TwinkleError('USAGE', `there are no logs in ${home}: nothing has run there; see --home`);
  return last;
}

function isWanted(file: string, rank: number | null, model: string | null): boolean {
  if (!file.endsWith('.log')) return false;
  const match = /-rank(\d+)\.log$/.exec(file);
  if (rank !== null && (match === null || Number(match[1]) !== rank)) return false;
  return model === null || file.startsWith(`${fileName(model)}-`);
}

function wholeNumber(text: string, flag: string): number {
  if (!/^\d{1,7}$/.test(text))
    throw new TwinkleError('USAGE', `expected a whole number for \`${flag}\` but received "${text}"`);
  return Number(text);
}
