/** Makes a managed environment: in a draft folder beside its place, verified by importing everything, then moved there in one step. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { makeFolders } from '../util/make-folders.js';
import {
  type CachedEnvironment,
  type EnvironmentKey,
  type EnvironmentStamp,
  findCached,
  folderPrefix,
  readEnvironment,
  STAMP,
} from './cache.js';
import { inDraft, relocateScripts, removeAbandoned } from './drafts.js';
import { findBasePython } from './find.js';
import { acquireLock } from './lock.js';
import { type Installer, installerEnvironment, pipInstall, torchThatPipTakes, uvInstall } from './pip.js';
import { ENGINE_PACKAGES, importEnvironment, lastLines, type ProbeReport, probePython } from './probe.js';
import type { Requirements } from './requirements.js';
import type { Run, SetupProgress } from './types.js';

/** What to build and with what. */
export interface BuildOptions {
  readonly key: EnvironmentKey;
  /** Folder of all environments. */
  readonly envs: string;
  readonly requirements: Requirements;
  /** Take wheels only from this folder. */
  readonly wheelhouse: string | null;
  /** Make it again although it is there. */
  readonly force: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly run: Run;
  readonly progress: SetupProgress;
  readonly signal?: AbortSignal;
}

/**
 * The environment, made when it is not there. Safe to call at once from several processes: one makes it, the others wait.
 * @throws `PYTHON_MISSING`, `SETUP_FAILED`
 */
export async function buildEnvironment(options: BuildOptions): Promise<CachedEnvironment> {
  const { key, envs, progress, signal } = options;
  makeEnvironmentsFolder(envs);
  const release = await acquireLock(
    join(envs, `${folderPrefix(key)}.lock`),
    (pid) =>
      progress.step(`Another process (pid ${pid}) makes the Python environment of ${key.engine}; waiting for it`),
    signal,
  );
  try {
    await removeAbandoned(envs);
    const found = options.force ? null : findCached(envs, key);
    return found ?? (await build(options));
  } finally {
    release();
  }
}

async function build(options: BuildOptions): Promise<CachedEnvironment> {
  const { key, envs, run, progress } = options;
  const env = installerEnvironment(options.env);
  progress.step(`Making the Python environment of engine ${key.engine} (once)`);
  const base = await findBasePython(run, env);
  const place = join(envs, `${folderPrefix(key)}${base.version.slice(0, 2).join('.')}`);
  return await inDraft(envs, async (draft) => {
    const venv = join(draft, 'env');
    const installer: Installer = {
      run,
      env,
      onLine: (line) => progress.detail(line.trim()),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    await makeVenv(installer, base, venv);
    await install(options, installer, base, draft, venv);
    await finish(options.requirements, installer, venv);
    progress.step('Checking that everything can be imported');
    const stamp = await verify(options, venv, base);
    relocateScripts(venv, place);
    writeFileSync(join(venv, STAMP), `${JSON.stringify(stamp, null, 2)}\n`);
    return moveIntoPlace(venv, place, draft, options.force);
  });
}

async function makeVenv(installer: Installer, base: ProbeReport, venv: string): Promise<void> {
  const result = await installer.run(base.executable, ['-m', 'venv', venv], installer);
  if (result.code === 0) return;
  const said = lastLines(result.stderr, 3) || lastLines(result.stdout, 3);
  const minor = base.version.slice(0, 2).join('.');
  throw new TwinkleError(
    'SETUP_FAILED',
    `${base.executable} -m venv failed: ${said}; on Debian and Ubuntu: apt install python${minor}-venv`,
  );
}

/** With pip when it takes the wanted torch, else with uv, which can be told. No gigabytes of CUDA where there is no GPU. */
async function install(
  options: BuildOptions,
  installer: Installer,
  base: ProbeReport,
  draft: string,
  venv: string,
): Promise<void> {
  const { key, requirements, wheelhouse, progress } = options;
  const text = readFileSync(requirements.path, 'utf8');
  const pin = /^torch==[^\s;#]+/m.exec(text)?.[0];
  if (pin !== undefined && wheelhouse === null) {
    progress.step(`Looking for a ${key.flavour === 'cpu' ? 'CPU' : 'CUDA'} build of ${pin}`);
    const offered = await torchThatPipTakes(installer, venv, pin);
    if (offered !== key.flavour) {
      const uvVenv = join(draft, 'uv');
      await makeVenv(installer, base, uvVenv);
      progress.step(`Installing ${count(text)} packages for ${key.engine} (uv, ${key.flavour} build of torch)`);
      return uvInstall(installer, uvVenv, venv, requirements, key.flavour);
    }
  }
  progress.step(
    `Installing ${count(text)} packages for ${key.engine}${wheelhouse === null ? '' : ` from ${wheelhouse}`}`,
  );
  return pipInstall(installer, venv, requirements, wheelhouse);
}

async function finish(requirements: Requirements, installer: Installer, venv: string): Promise<void> {
  if (requirements.finish === null) return;
  const result = await installer.run(join(venv, 'bin', 'python'), [requirements.finish], installer);
  if (result.code === 0) return;
  throw new TwinkleError('SETUP_FAILED', `${requirements.finish} failed: ${lastLines(result.stderr, 3)}`);
}

async function verify(options: BuildOptions, venv: string, base: ProbeReport): Promise<EnvironmentStamp> {
  const { key, run } = options;
  const env = importEnvironment(key.engine, installerEnvironment(options.env));
  const report = await probePython(run, join(venv, 'bin', 'python'), 'import', ENGINE_PACKAGES[key.engine], env);
  const broken = Object.entries(report.broken).map(([name, why]) => `${name}: ${why}`);
  if (broken.length > 0) {
    throw new TwinkleError(
      'SETUP_FAILED',
      `the packages of engine ${key.engine} were installed but cannot be imported (${broken.join('; ')}); ` +
        'install what they ask for and run setup again, or give your own Python with --python',
    );
  }
  return { ...key, versions: { python: base.version.join('.'), ...report.versions } };
}

/** What stands there already is moved aside first: processes that run from it keep their open files. */
function moveIntoPlace(venv: string, place: string, draft: string, force: boolean): CachedEnvironment {
  const other = force ? null : readEnvironment(place);
  if (other === null) {
    if (existsSync(place)) renameSync(place, join(draft, 'old'));
    renameSync(venv, place);
  }
  const made = readEnvironment(place);
  if (made === null)
    throw new TwinkleError('SETUP_FAILED', `the environment in ${place} vanished while it was made; run setup again`);
  return made;
}

/** Make the folder of all environments. Throws `SETUP_FAILED`. */
export function makeEnvironmentsFolder(path: string): void {
  try {
    makeFolders(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new TwinkleError(
      'SETUP_FAILED',
      `cannot make the folder ${path} for Python environments (${code}); set TWINKLE_CACHE to a folder that is writable`,
      { cause: error },
    );
  }
}

function count(requirements: string): number {
  return requirements.split('\n').filter((line) => /^[A-Za-z0-9]/.test(line)).length;
}
