/** From what a user wrote to a configuration and the Pythons it needs: shared by `serve` and `createServer`. Wiring only. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { type CompiledConfig, compileConfig, type WrittenEngineArg } from '../config/compile.js';
import type { WrittenLlmConfigs } from '../config/llm-config.js';
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { Layer, Written } from '../config/settings.js';
import type { EngineName, ModelConfig, ServeConfig } from '../config/types.js';
import { checkEngineArgs, findEngineArg } from '../engines/args.js';
import type { DeviceReport } from '../native/types.js';
import type { Flavour, PythonEnvironment, SetupProgress } from '../python/types.js';
import { checkModels } from './check-models.js';
import { readConfigFile } from './config-file.js';

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
  /** The file has to be a Twinkle Server's; default false. */
  readonly onlyTwinkle?: boolean;
  /** Over what a Twinkle Server's file says of `ray_namespace`. */
  readonly namespace?: Written | null;
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
  const { written, engineArgs, llmConfigs = null, env, cwd, mayWrite, devices, cluster = async () => null } = request;
  const { onlyTwinkle = false, namespace = null } = request;
  const { yaml, twinkle } = await readConfigFile({ file, onlyTwinkle, namespace, env, cwd, userHome });
  return compileConfig(
    { written, engineArgs, llmConfigs, env, yaml, twinkle, cwd, userHome },
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

/** What of a model decides which Python it needs. */
interface EngineUse extends Pick<ModelConfig, 'engine'> {
  readonly placement: Pick<ModelConfig['placement'], 'accelerator'>;
}

/**
 * The Python of every engine that the configuration uses; makes missing environments when it may.
 * @throws `PYTHON_MISSING`, `PYTHON_ENV`, `SETUP_FAILED`
 */
export async function resolvePythons(
  config: Pick<ServeConfig, 'python'> & {
    readonly models: readonly EngineUse[];
    readonly trained?: readonly EngineUse[];
  },
  options: { readonly env: Env; readonly progress: SetupProgress; readonly signal?: AbortSignal },
): Promise<ReadonlyMap<EngineName, PythonEnvironment>> {
  const { resolvePython } = await import('../python/resolve.js');
  const found = new Map<EngineName, PythonEnvironment>();
  const uses = [...config.models, ...(config.trained ?? [])];
  for (const { engine } of uses) {
    if (found.has(engine)) continue;
    const users = uses.filter((one) => one.engine === engine);
    const flavour = wantedFlavour(
      engine,
      users.map(({ placement }) => placement.accelerator),
      options.env,
    );
    found.set(
      engine,
      await resolvePython(config.python, engine, { ...options, requirementsDir: REQUIREMENTS, flavour }),
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
