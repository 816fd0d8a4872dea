/** The home folder for commands that read no configuration, and the instance that a user means. */
import { resolveHome } from '../config/home.js';
import { TwinkleError } from '../errors.js';
import { type FoundInstance, listInstances } from '../runtime/instance-file.js';
import { didYouMean } from '../util/did-you-mean.js';
import type { CliIo } from './io.js';

/** `--home`, else TWINKLE_HOME, else the default; absolute. */
export function homeFolder(flag: string | undefined, io: CliIo): string {
  return resolveHome(flag, io.env, io.cwd);
}

/** Instances whose process runs. */
export function runningInstances(home: string): FoundInstance[] {
  return listInstances(home).filter((found) => found.alive);
}

/**
 * The running instance of that id, or of an id that begins so.
 * @throws `USAGE` when none or several match
 */
export function findInstance(home: string, id: string): FoundInstance {
  const running = runningInstances(home);
  const matching = running.filter(({ file }) => file.instance === id || file.instance.startsWith(id));
  const only = matching[0];
  if (only !== undefined && matching.length === 1) return only;
  const ids = running.map(({ file }) => file.instance);
  throw new TwinkleError(
    'USAGE',
    matching.length > 1
      ? `"${id}" begins ${matching.length} instances: ${matching.map(({ file }) => file.instance).join(', ')}; write more of it`
      : `no running instance "${id}" in ${home}${ids.length === 0 ? ': nothing runs there' : ` (running: ${ids.join(', ')})`}${didYouMean(id, ids)}`,
  );
}
