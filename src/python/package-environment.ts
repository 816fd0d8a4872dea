/**
 * Environments with packages of a user's choice, on top of what an interpreter has: for tasks and actors. Each is made once, in a draft folder,
 * and moved into its place when it works; its stamp says that it is whole.
 *
 *     <cache>/envs/packages-<hash>/twinkle-packages.json
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { makeEnvironmentsFolder } from './build.js';
import { inDraft, relocateScripts, removeAbandoned } from './drafts.js';
import { acquireLock } from './lock.js';
import { installerEnvironment } from './pip.js';
import { lastLines } from './probe.js';
import type { Run, RunResult } from './types.js';

export interface PackageEnvironmentOptions {
  /** Its packages are seen, too, after those of the environment. */
  readonly python: string;
  /** Lines of a requirements file. */
  readonly packages: readonly string[];
  /** Of `pip install`. */
  readonly options: readonly string[];
  /** What local folders among the packages are like: another one is another environment. */
  readonly stamp: string;
  /** Folder of all environments. */
  readonly envs: string;
  /** List of what our workers need: another one is another environment. */
  readonly list: string;
  /** Folder of our Python code: it must be possible to import it. */
  readonly code: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly run: Run;
  /** Told what is going on. */
  told(step: string): void;
  readonly signal: AbortSignal;
}

const STAMP = 'twinkle-packages.json';

/** A venv without pip, which sees what the interpreter that runs this sees: last, and with the .pth files in there. */
const MAKE = `
import os, sys, venv
place = sys.argv[1]
venv.EnvBuilder(with_pip=False, symlinks=True).create(place)
seen = [os.path.abspath(one) for one in sys.path if os.path.basename(one) in ("site-packages", "dist-packages")]
lib = os.path.join(place, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
with open(os.path.join(lib, "zzz-twinkle.pth"), "w") as file:
    file.writelines("import site; site.addsitedir(%r)\\n" % one for one in seen)
`;
const CHECK = 'from twinkle_node.core.preload import preload; preload()';

/**
 * The interpreter of the environment, which is made when it is not there. Safe to call at once from several processes: one makes it.
 * @throws `RUNTIME_ENV` with the last words of what failed, the signal's reason
 */
export async function packageEnvironment(options: PackageEnvironmentOptions): Promise<string> {
  try {
    return await findOrMake(options);
  } catch (error) {
    if (options.signal.aborted || (error instanceof TwinkleError && error.code === 'RUNTIME_ENV')) throw error;
    throw impossible(options, error instanceof Error ? error.message : String(error), error);
  }
}

async function findOrMake(options: PackageEnvironmentOptions): Promise<string> {
  const { envs, told, signal } = options;
  const place = join(envs, `packages-${hashOf(options)}`);
  const python = interpreterOf(place);
  if (isWhole(place)) return python;
  makeEnvironmentsFolder(envs);
  told('waiting for others who make environments');
  const release = await acquireLock(`${place}.lock`, (pid) => told(`process ${pid} makes it`), signal);
  try {
    await removeAbandoned(envs);
    if (!isWhole(place)) await inDraft(envs, (draft) => make(options, draft, place));
    return python;
  } finally {
    release();
  }
}

async function make(options: PackageEnvironmentOptions, draft: string, place: string): Promise<void> {
  const { python, told } = options;
  const venv = join(draft, 'env');
  told('making a venv');
  await attempt(options, 'making a venv', python, ['-c', MAKE, venv]);
  await install(options, draft, interpreterOf(venv));
  told('checking that workers run in it');
  const PYTHONPATH = [options.code, options.env.PYTHONPATH ?? ''].filter((one) => one !== '').join(delimiter);
  await attempt(options, 'workers cannot run with these packages: importing', interpreterOf(venv), ['-c', CHECK], {
    PYTHONPATH,
  });
  relocateScripts(venv, place);
  const { packages, stamp } = options;
  writeFileSync(
    join(venv, STAMP),
    `${JSON.stringify({ python, packages, options: options.options, stamp }, null, 2)}\n`,
  );
  // What stands there is not whole: its interpreter is gone.
  if (existsSync(place)) renameSync(place, join(draft, 'old'));
  renameSync(venv, place);
}

/** pip is that of the interpreter, which the environment sees; where there is none, Python brings its own. */
async function install(options: PackageEnvironmentOptions, draft: string, python: string): Promise<void> {
  const list = join(draft, 'requirements.txt');
  writeFileSync(list, `${options.packages.join('\n')}\n`);
  options.told('pip install');
  const args = ['-m', 'pip', 'install', '--no-input', ...options.options, '-r', list];
  const first = await runIn(options, python, args);
  if (first.code === 0) return;
  if (!/No module named '?pip\b/.test(first.stderr)) throw failed(options, 'pip install', first);
  await attempt(options, 'getting pip', python, ['-m', 'ensurepip', '--default-pip']);
  await attempt(options, 'pip install', python, args);
}

async function attempt(
  options: PackageEnvironmentOptions,
  what: string,
  python: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<void> {
  const result = await runIn(options, python, args, more);
  if (result.code !== 0) throw failed(options, what, result);
}

function runIn(
  { run, env, told, signal }: PackageEnvironmentOptions,
  python: string,
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<RunResult> {
  const onLine = (line: string): void => {
    if (line.trim() !== '') told(line.trim().slice(0, 200));
  };
  return run(python, args, { env: { ...installerEnvironment(env), ...more }, signal, onLine });
}

function failed(options: PackageEnvironmentOptions, what: string, result: RunResult): TwinkleError {
  const said = lastLines(result.stderr, 6) || lastLines(result.stdout, 6) || 'it said nothing';
  return impossible(options, `${what} failed (${result.signal ?? `code ${result.code}`}): ${said}`);
}

function impossible({ packages }: PackageEnvironmentOptions, why: string, cause?: unknown): TwinkleError {
  const named = packages.slice(0, 5).join(', ') + (packages.length > 5 ? ', …' : '');
  return new TwinkleError('RUNTIME_ENV', `the environment with ${named} could not be made: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { packages: [...packages] },
  });
}

function hashOf({ python, packages, options, stamp, list }: PackageEnvironmentOptions): string {
  const facts = [
    process.platform,
    process.arch,
    python,
    real(python),
    packages,
    options,
    stamp,
    readFileSync(list, 'utf8'),
  ];
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 16);
}

/** Another version may have come in the place of a link. */
function real(python: string): string {
  try {
    return realpathSync(python);
  } catch {
    return python;
  }
}

function interpreterOf(venv: string): string {
  return join(venv, 'bin', 'python');
}

/** Whether a folder is an environment that was made here. */
export function isPackageEnvironment(place: string): boolean {
  return existsSync(join(place, STAMP));
}

function isWhole(place: string): boolean {
  return isPackageEnvironment(place) && existsSync(interpreterOf(place));
}
