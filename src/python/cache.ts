/**
 * The folder of managed environments and what is in it. An environment counts when its stamp is there: the stamp is written last,
 * and lookups read only it, so that a start spawns no Python.
 *
 *     <cache>/envs/<engine>-<flavour>-<hash of requirements and platform>-py<minor>/twinkle-env.json
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { requirementsOf } from './requirements.js';
import type { EnvironmentName, Flavour } from './types.js';

type Env = Readonly<Record<string, string | undefined>>;

/** Name of the stamp inside an environment. */
export const STAMP = 'twinkle-env.json';

/** Content of the stamp. */
export interface EnvironmentStamp {
  readonly engine: EnvironmentName;
  readonly flavour: Flavour;
  readonly hash: string;
  readonly versions: Readonly<Record<string, string>>;
}

/** An environment as wanted. */
export interface EnvironmentKey {
  readonly engine: EnvironmentName;
  readonly flavour: Flavour;
  readonly hash: string;
}

/** A finished environment. */
export interface CachedEnvironment {
  readonly folder: string;
  readonly python: string;
  readonly stamp: EnvironmentStamp;
}

/** `$TWINKLE_CACHE`, else `$XDG_CACHE_HOME/twinkle-node`, else `~/.cache/twinkle-node`; then `envs`. */
export function environmentsFolder(env: Env): string {
  const own = env.TWINKLE_CACHE;
  if (own !== undefined && own !== '') {
    if (!isAbsolute(own)) {
      throw new TwinkleError('CONFIG_INVALID', `expected an absolute path for \`TWINKLE_CACHE\` but received "${own}"`);
    }
    return join(own, 'envs');
  }
  const xdg = env.XDG_CACHE_HOME;
  const base = xdg !== undefined && isAbsolute(xdg) ? xdg : join(env.HOME ?? homedir(), '.cache');
  return join(base, 'twinkle-node', 'envs');
}

/**
 * The key of an engine's environment.
 * @param requirementsDir folder with the lists: `requirements.ts`
 * @throws `PYTHON_ENV` when the file is missing: the package is incomplete
 */
export function environmentKey(engine: EnvironmentName, flavour: Flavour, requirementsDir: string): EnvironmentKey {
  const { path } = requirementsOf(engine, flavour, requirementsDir);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new TwinkleError(
      'PYTHON_ENV',
      `the package has no list of Python packages for engine ${engine} (${path}); install twinkle-node again`,
      { cause: error },
    );
  }
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n${text}`).digest('hex').slice(0, 12);
  // Without torch there is nothing that differs between CPU and CUDA.
  return { engine, flavour: /^torch\b/m.test(text) ? flavour : 'cpu', hash };
}

/** Folder name without the Python version. */
export function folderPrefix(key: EnvironmentKey): string {
  return `${key.engine}-${key.flavour}-${key.hash}-py`;
}

/** A finished environment of that key, the newest Python first; null when there is none. Spawns nothing. */
export function findCached(envs: string, key: EnvironmentKey): CachedEnvironment | null {
  let names: string[];
  try {
    names = readdirSync(envs);
  } catch {
    return null;
  }
  const prefix = folderPrefix(key);
  const minor = (name: string): number => Number(name.slice(prefix.length).split('.')[1] ?? 0);
  const matching = names.filter((name) => name.startsWith(prefix)).sort((a, b) => minor(b) - minor(a));
  for (const name of matching) {
    const found = readEnvironment(join(envs, name));
    if (found !== null) return found;
  }
  return null;
}

/** The environment in a folder when it is finished and its interpreter still exists, else null. */
export function readEnvironment(folder: string): CachedEnvironment | null {
  const python = join(folder, 'bin', 'python');
  try {
    const stamp = JSON.parse(readFileSync(join(folder, STAMP), 'utf8')) as EnvironmentStamp;
    // Follows the link to the base interpreter, which an upgrade of the system may have removed.
    return existsSync(python) ? { folder, python, stamp } : null;
  } catch {
    return null;
  }
}
