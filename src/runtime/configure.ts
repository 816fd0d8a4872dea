/** From what a user wrote to a configuration and the Pythons it needs: shared by `serve` and `createServer`. Wiring only. */
import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';
import { type CompiledConfig, compileConfig, type WrittenEngineArg } from '../config/compile.js';
import type { WrittenLlmConfigs } from '../config/llm-config.js';
import { expandHome } from '../config/model.js';
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { Layer } from '../config/settings.js';
import type { EngineName, ModelConfig, ServeConfig } from '../config/types.js';
import { checkEngineArgs, findEngineArg } from '../engines/args.js';
import type { DeviceReport } from '../native/types.js';
import type { Flavour, PythonEnvironment, SetupProgress } from '../python/types.js';
import { checkModels } from './check-models.js';

type Env = Readonly<Record<string, string | undefined>>;

/** What a user wrote. */
export interface ConfigureRequest {
  /** Flags, or the options of `createServer` (`optionsLayer`). */
  readonly written: Layer;
  readonly engineArgs: readonly WrittenEngineArg[];
  /** `llmConfigs` of `createServer`. */
  readonly llmConfigs?: WrittenLlmConfigs | null;
  readonly env: Env;
  readonly cwd: string;
  /** File of `--config`, `-` for standard input; null: `TWINKLE_CONFIG` when set. */
  readonly configFile: string | null;
  /** False on a dry run: no API key is generated. */
  readonly mayWrite: boolean;
  /** Called only when devices matter; may load the addon. */
  readonly devices: () => Promise<DeviceReport>;
  /** Kinds of devices of the cluster that gives them out, asked when devices matter; null or none: this machine. */
  readonly cluster?: (address: ServeConfig['address'], home: string) => Promise<ReadonlySet<'GPU' | 'NPU'> | null>;
}

/** Of environments that are made without anybody looking on. */
export const QUIET: SetupProgress = { step() {}, detail() {} };

/** Folder of the engines' requirement files. */
export const REQUIREMENTS = join(PYTHON_WORKERS, 'requirements');

/**
 * Read the YAML file, if any, and compile.
 * @throws TwinkleError `USAGE`, `CONFIG_INVALID`, `DEVICE_MISSING`, `INFEASIBLE`
 */
export async function configure(request: ConfigureRequest): Promise<CompiledConfig> {
  const userHome = request.env.HOME || homedir();
  const file = request.configFile ?? (request.env.TWINKLE_CONFIG || null);
  const yaml = file === null ? [] : await readFile(file, request.cwd, userHome);
  const { written, engineArgs, llmConfigs = null, env, cwd, mayWrite, devices, cluster = async () => null } = request;
  return compileConfig(
    { written, engineArgs, llmConfigs, env, yaml, cwd, userHome },
    {
      devices,
      cluster,
      engineArgs: checkEngineArgs,
      isEngineArg: (name) => findEngineArg(name) !== null,
      checkModels: (models, offered) => checkModels(models, offered, devices),
      mayWrite,
    },
  );
}

async function readFile(file: string, cwd: string, userHome: string) {
  const { parseYamlConfig, readYamlConfig } = await import('../config/yaml-file.js');
  if (file === '-') {
    const { text } = await import('node:stream/consumers');
    return await parseYamlConfig(await text(process.stdin), 'stdin');
  }
  const expanded = expandHome(file, userHome);
  return readYamlConfig(isAbsolute(expanded) ? expanded : resolve(cwd, expanded));
}

/** What of a model decides which Python it needs. */
interface EngineUse extends Pick<ModelConfig, 'engine'> {
  readonly placement: Pick<ModelConfig['placement'], 'accelerator'>;
}

/**
 * The Python of every engine that the configuration uses; makes missing environments when it may.
 * @throws `PYTHON_MISSING`, `PYTHON_ENV`, `SETUP_FAILED`
 */
export async function resolvePythons(
  config: Pick<ServeConfig, 'python'> & { readonly models: readonly EngineUse[] },
  options: { readonly env: Env; readonly progress: SetupProgress; readonly signal?: AbortSignal },
): Promise<ReadonlyMap<EngineName, PythonEnvironment>> {
  const { resolvePython } = await import('../python/resolve.js');
  const found = new Map<EngineName, PythonEnvironment>();
  for (const model of config.models) {
    if (found.has(model.engine)) continue;
    const { engine } = model;
    const users = config.models.filter((one) => one.engine === engine);
    const flavour = wantedFlavour(
      engine,
      users.map(({ placement }) => placement.accelerator),
      options.env,
    );
    found.set(
      model.engine,
      await resolvePython(config.python, model.engine, { ...options, requirementsDir: REQUIREMENTS, flavour }),
    );
  }
  return found;
}

/**
 * Builds for accelerators only where there are real ones: fake ones run on the CPU.
 * @param accelerators of the models that the engine runs, or those that are there
 */
export function wantedFlavour(
  engine: EngineName,
  accelerators: readonly ModelConfig['placement']['accelerator'][],
  env: Env,
): Flavour {
  if (env.TWINKLE_FAKE_DEVICES) return 'cpu';
  if (accelerators.includes('GPU')) return 'cuda';
  return engine === 'vllm' && accelerators.includes('NPU') ? 'ascend' : 'cpu';
}
