/** Which Python runs an engine: the user's own, or the managed environment, made when it may be. */
import type { PythonConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import { buildEnvironment } from './build.js';
import { environmentKey, environmentsFolder, findCached } from './cache.js';
import { ENGINE_PACKAGES, isSupported, probePython } from './probe.js';
import { ASCEND_ADVICE, ASCEND_PACKAGES, installCommand, requirementsOf } from './requirements.js';
import { runProgram } from './run.js';
import type { EnvironmentName, Flavour, PythonEnvironment, Run, SetupProgress } from './types.js';

/** What {@link resolvePython} needs beside the configuration. */
export interface ResolveOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder with the lists of packages: `requirements.ts`. */
  readonly requirementsDir: string;
  /** The build of torch that is wanted; a CUDA one serves a CPU, too. */
  readonly flavour: Flavour;
  readonly progress: SetupProgress;
  readonly signal?: AbortSignal;
  /** Make it again although it is there. Default false. */
  readonly force?: boolean;
  /** Take wheels only from this folder. Default null. */
  readonly wheelhouse?: string | null;
  /** For tests. Default: real processes. */
  readonly run?: Run;
}

/**
 * A Python that can run the engine. When the managed environment is there, this spawns nothing.
 * @throws `PYTHON_MISSING`, `PYTHON_ENV` (missing packages, or `mayInstall` is false), `SETUP_FAILED`
 */
export async function resolvePython(
  config: PythonConfig,
  engine: EnvironmentName,
  options: ResolveOptions,
): Promise<PythonEnvironment> {
  const run = options.run ?? runProgram;
  if (config.interpreter !== null) return userPython(run, config.interpreter, engine, options);
  if (options.flavour === 'ascend') {
    throw new TwinkleError(
      'PYTHON_ENV',
      `there is no managed Python environment of engine ${engine} for NPUs: ${ASCEND_ADVICE}`,
    );
  }
  const envs = environmentsFolder(options.env);
  const key = environmentKey(engine, options.flavour, options.requirementsDir);
  const force = options.force ?? false;
  const cached = force ? null : (findCached(envs, key) ?? findCached(envs, { ...key, flavour: 'cuda' }));
  if (cached === null && !config.mayInstall) {
    throw new TwinkleError(
      'PYTHON_ENV',
      `the Python environment of engine ${engine} is not there (looked in ${envs}) and --no-setup forbids making it; ` +
        `run \`npx twinkle-node setup --engine ${engine}\`, or give your own Python with --python`,
    );
  }
  const found =
    cached ??
    (await buildEnvironment({
      key,
      envs,
      requirements: requirementsOf(engine, key.flavour, options.requirementsDir),
      wheelhouse: options.wheelhouse ?? null,
      force,
      env: options.env,
      run,
      progress: options.progress,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }));
  return { python: found.python, engine, versions: found.stamp.versions, source: 'managed' };
}

/** The user's interpreter, after looking (not importing) whether it has what the engine needs. */
async function userPython(
  run: Run,
  interpreter: string,
  engine: EnvironmentName,
  { env, flavour, requirementsDir }: ResolveOptions,
): Promise<PythonEnvironment> {
  const ascend = flavour === 'ascend';
  const packages = { ...ENGINE_PACKAGES[engine], ...(ascend ? ASCEND_PACKAGES : {}) };
  const report = await probePython(run, interpreter, 'metadata', packages, env);
  const version = report.version.join('.');
  if (!isSupported(report.version)) {
    throw new TwinkleError(
      'PYTHON_MISSING',
      `expected Python of at least 3.11 for \`--python\` but ${interpreter} is ${version}; name another one, or leave it out to let setup find one`,
    );
  }
  const broken = Object.entries(report.broken);
  if (broken.length > 0) {
    const list = broken.map(([name, why]) => `${name} (${why})`).join(', ');
    throw new TwinkleError(
      'PYTHON_ENV',
      `${interpreter} (Python ${version}) lacks what engine ${engine} needs${ascend ? ' for NPUs' : ''}: ${list}; ` +
        (ascend
          ? ASCEND_ADVICE
          : `run \`${installCommand(report.executable, requirementsOf(engine, flavour, requirementsDir), report.broken)}\`, or leave out --python to let setup make an environment`),
      { details: { missing: broken.map(([name]) => name) } },
    );
  }
  return { python: report.executable, engine, versions: { python: version, ...report.versions }, source: 'user' };
}

/** The sentence for a rank of a managed environment that could not import its packages. */
export function repairAdvice(environment: PythonEnvironment): string {
  return environment.source === 'managed'
    ? `run \`npx twinkle-node setup --engine ${environment.engine} --force\``
    : `repair the packages of ${environment.python}, or leave out --python`;
}
