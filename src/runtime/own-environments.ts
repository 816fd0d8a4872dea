/** What `runtime_env` of actors and tasks needs of a head: environments in the cache of all heads, and folders of its own. Wiring only. */
import { delimiter, dirname, join } from 'node:path';
import { FolderStore } from '../actors/folder-store.js';
import { RuntimeEnvs } from '../actors/runtime-envs.js';
import { PYTHON_WORKERS } from '../config/package-root.js';
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { environmentsFolder } from '../python/cache.js';
import { isPackageEnvironment, packageEnvironment } from '../python/package-environment.js';
import { lastLines } from '../python/probe.js';
import { guardedRun, runProgram } from '../python/run.js';

const GUARD = join(PYTHON_WORKERS, 'twinkle_node', 'guard.py');
const UNPACK = join(PYTHON_WORKERS, 'twinkle_node', 'core', 'unpack.py');
const LIST = join(PYTHON_WORKERS, 'requirements', 'actors.txt');

type Env = Readonly<Record<string, string | undefined>>;

/**
 * @param code folder for what programs put here
 * @param keepsZips other boxes will ask for it
 */
export function openRuntimeEnvs(env: Env, code: string, log: Logger, keepsZips = false): RuntimeEnvs {
  const folders = new FolderStore(code, (python, zip, into) => unpack(env, python, zip, into), keepsZips);
  return new RuntimeEnvs(async (wanted, told, signal) => {
    const began = Date.now();
    let isThere = true;
    const python = await packageEnvironment({
      ...{ ...wanted, envs: environmentsFolder(env), list: LIST, code: PYTHON_WORKERS, env, signal },
      // A head that is killed must not leave pip behind.
      run: guardedRun(wanted.python, GUARD),
      told: (step) => {
        isThere = false;
        told(step);
      },
    });
    if (!isThere) log.info({ python, packages: wanted.packages, ms: Date.now() - began }, 'environment_made');
    return python;
  }, folders);
}

/** The environment of processes of that interpreter: as if that had been activated, where it is of an environment made here. */
export function activated(env: Readonly<Record<string, string>>, python: string): Record<string, string> {
  const bin = dirname(python);
  if (!isPackageEnvironment(dirname(bin))) return { ...env };
  return { ...env, VIRTUAL_ENV: dirname(bin), PATH: env.PATH ? `${bin}${delimiter}${env.PATH}` : bin };
}

async function unpack(env: Env, python: string, zip: string, into: string): Promise<number> {
  const { code, stdout, stderr } = await runProgram(python, ['-I', '-S', UNPACK, zip, into], { env });
  if (code !== 0) throw new TwinkleError('INVALID_REQUEST', `a folder cannot be unpacked: ${lastLines(stderr, 1)}`);
  return Number(stdout);
}
