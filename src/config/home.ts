/** The home folder for those who read no whole configuration. */
import { homedir } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { expandHome } from './model.js';
import { SERVE_OPTIONS } from './options.js';

/**
 * What is written, else TWINKLE_HOME, else the default; absolute.
 * @param cwd folder that relative paths count from
 */
export function resolveHome(
  written: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  const expanded = expandHome(written ?? (env.TWINKLE_HOME || SERVE_OPTIONS.home.default), env.HOME || homedir());
  return isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
}
