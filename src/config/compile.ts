/**
 * From what was written (flags or options, environment, YAML) to `ServeConfig`: defaults in, nothing optional, relations checked.
 * Asks for devices only when they matter. Starts nothing; the one file it may write is the generated API key.
 */
import { isAbsolute, resolve } from 'node:path';
import { TwinkleError } from '../errors.js';
import { didYouMean, nearest } from '../util/did-you-mean.js';
import type { DeviceSource } from './accelerator.js';
import { compileAddress, isLocal } from './address.js';
import { compileAuth } from './auth.js';
import { compileModels } from './compile-models.js';
import { addressLayer, compileTwinkleModels, type WrittenTwinkle } from './compile-twinkle.js';
import { withoutDevices } from './devices.js';
import { takeEngineArgs } from './engine-options.js';
import { belongsInLlmConfigs, type WrittenLlmConfigs } from './llm-config.js';
import { expandHome } from './model.js';
import { environmentName, isOptionKey, OPTION_KEYS, type OptionKey } from './options.js';
import { compileHeadAddress } from './placement.js';
import { environmentLayer, type Layer, located, type Origin, Settings, type Written } from './settings.js';
import { withSleep } from './sleep-while-training.js';
import { checkTrainShard } from './train-shard.js';
import { compileTraining } from './training.js';
import type { EngineName, ModelConfig, OfferedDevice, ServeConfig } from './types.js';
import type { YamlEntry } from './yaml-file.js';

type Env = Readonly<Record<string, string | undefined>>;

/** An engine argument as written, with its place. */
export interface WrittenEngineArg {
  readonly name: string;
  readonly value: unknown;
  readonly where: string;
}

/** What was written, by place. */
export interface ConfigInput {
  /** Flags of the CLI, or options of `createServer`. */
  readonly written: Layer;
  readonly engineArgs: readonly WrittenEngineArg[];
  readonly env: Env;
  /** Of a file of our own. */
  readonly yaml: readonly YamlEntry[];
  /** The file of a Twinkle Server instead; absent or null: there is none. */
  readonly twinkle?: WrittenTwinkle | null;
  /** `llmConfigs` of `createServer`; none: those of the file, if any. */
  readonly llmConfigs?: WrittenLlmConfigs | null;
  /** Folder that relative paths count from. */
  readonly cwd: string;
  /** What `~` stands for. */
  readonly userHome: string;
}

/** What compiling needs from others. */
export interface ConfigServices extends Pick<DeviceSource, 'devices'> {
  /** As {@link DeviceSource.cluster}, for a home folder. */
  cluster(address: ServeConfig['address'], home: string): ReturnType<DeviceSource['cluster']>;
  /** `checkEngineArgs` of engines/args.ts. */
  engineArgs(
    engine: EngineName,
    args: readonly WrittenEngineArg[],
    otherNames: readonly string[],
    warn: (sentence: string) => void,
  ): Record<string, unknown>;
  /** Whether any engine takes an argument of that name. */
  isEngineArg(name: string): boolean;
  /** Told of the models and of the devices that this machine offers; throws for what cannot work. None: nothing is looked at. */
  checkModels?(models: readonly ModelConfig[], devices: readonly OfferedDevice[]): Promise<void>;
  /** False on a dry run: no API key is generated. */
  readonly mayWrite: boolean;
}

/** The configuration, where each value came from, and what the user should hear. */
export interface CompiledConfig {
  readonly config: ServeConfig;
  readonly origins: Readonly<Record<OptionKey, Origin>>;
  readonly warnings: readonly string[];
}

/**
 * Compile.
 * @throws TwinkleError `USAGE`, `CONFIG_INVALID`, `DEVICE_MISSING`, `INFEASIBLE`
 */
export async function compileConfig(input: ConfigInput, services: ConfigServices): Promise<CompiledConfig> {
  const yaml = splitYaml(input.yaml, services);
  const twinkle = input.twinkle ?? null;
  const layers = [input.written, environmentLayer(input.env), twinkle === null ? yaml.layer : addressLayer(twinkle)];
  const settings = new Settings(layers);
  const path = (text: string): string => {
    const expanded = expandHome(text, input.userHome);
    return isAbsolute(expanded) ? expanded : resolve(input.cwd, expanded);
  };
  const address = compileAddress(settings, input.cwd);
  const home = path(settings.text('home') as string);
  const python = settings.text('python');
  const supervision = {
    shutdownTimeoutMs: settings.number('shutdown-timeout') as number,
    phaseTimeoutMs: settings.number('start-timeout') as number,
    stepTimeoutMs: settings.number('step-timeout') as number,
    crashLoopLimit: settings.number('crash-loop-limit') as number,
    crashLoopWindowMs: settings.number('crash-loop-window') as number,
  };
  const bodyLimit = settings.number('body-limit') as number;
  const maxQueue = settings.number('queue-size') as number;
  const logLevel = settings.choice('log-level') as ServeConfig['logLevel'];
  const mayInstall = !settings.on('no-setup');
  const cpus = settings.number('num-cpus');
  const headAddress = compileHeadAddress(settings);
  const source: DeviceSource = {
    devices: () => services.devices(),
    cluster: (where) => services.cluster(where, home),
  };
  const written = {
    layers,
    engineArgs: [...yaml.engineArgs, ...input.engineArgs],
    llmConfigs: input.llmConfigs ?? yaml.llmConfigs,
    cwd: input.cwd,
    userHome: input.userHome,
    env: input.env,
  };
  const compiled =
    twinkle === null
      ? { ...(await compileModels(written, source, services)), trained: [] }
      : await compileTwinkleModels(twinkle, written, source);
  const { models: asWritten, offer: all, trained, warnings } = compiled;
  const models = withSleep(asWritten, settings);
  const { warnings: ofTraining, ...training } = await compileTraining(settings, source, input.env);
  checkTrainShard(settings, training, models);
  const offer = withoutDevices(all, training.devices ?? []);
  await services.checkModels?.(models, offer.devices);
  // Last, because it may write: nothing is left behind by a start that is refused.
  const access = compileAuth(settings, { local: isLocal(address), home, mayWrite: services.mayWrite });
  return {
    config: {
      models,
      trained,
      twinkle: twinkle?.config ?? null,
      node: { cpus, devices: offer.devices, links: offer.links, leftOut: offer.leftOut },
      training,
      address: headAddress,
      http: { ...address, bodyLimit, maxQueue },
      auth: access.auth,
      python: { interpreter: python === null ? null : interpreterPath(python, path), mayInstall },
      supervision,
      home,
      logLevel,
    },
    origins: Object.fromEntries(OPTION_KEYS.map((key) => [key, settings.origin(key)])) as Record<OptionKey, Origin>,
    warnings: [...unknownVariables(input.env), ...warnings, ...ofTraining, ...access.warnings],
  };
}

/** A bare word such as `python3.12` is searched on PATH later; everything with a slash is a path. */
function interpreterPath(written: string, path: (text: string) => string): string {
  return written.includes('/') || written.startsWith('~') ? path(written) : written;
}

function splitYaml(
  entries: readonly YamlEntry[],
  services: ConfigServices,
): { layer: Layer; engineArgs: WrittenEngineArg[]; llmConfigs: WrittenLlmConfigs | null } {
  const layer = new Map<OptionKey, Written>();
  const engineArgs: WrittenEngineArg[] = [];
  const mappings: Written[] = [];
  let llmConfigs: WrittenLlmConfigs | null = null;
  for (const { key, value, origin, place } of entries) {
    if (key === 'llm-configs') llmConfigs = { value, origin, place };
    else if (key === 'engine-args') mappings.push({ value, origin });
    else if (isOptionKey(key)) layer.set(key, { value, origin });
    else if (services.isEngineArg(key))
      engineArgs.push({ name: key, value, where: `${located(origin)}${origin.name}` });
    else {
      const near = didYouMean(key, [...OPTION_KEYS, 'engine-args', 'llm-configs']);
      const hint = belongsInLlmConfigs(origin.name) || near || (key === 'applications' ? RAY_FILE : '');
      throw new TwinkleError('CONFIG_INVALID', `${located(origin)}unknown key \`${origin.name}\`${hint}`);
    }
  }
  // After the options, whatever the order in the file: an option that is written in both places is found.
  for (const { value, origin } of mappings) engineArgs.push(...takeEngineArgs(value, origin, layer));
  return { layer, engineArgs, llmConfigs };
}

const RAY_FILE = '; of an application file of Ray Serve write only the `llm_configs` of its `args`, at the top';

/** Variables that others of our parts read; all else that begins with TWINKLE_ is unknown. */
const OTHER_VARIABLES = [
  'TWINKLE_ACL_LIBRARY',
  'TWINKLE_CACHE',
  'TWINKLE_CONFIG',
  'TWINKLE_CUDART_LIBRARY',
  'TWINKLE_DCMI_LIBRARY',
  'TWINKLE_FAKE_DEVICES',
  'TWINKLE_HCCL_LIBRARY',
  'TWINKLE_NATIVE',
  'TWINKLE_NCCL_LIBRARY',
  'TWINKLE_NOSET_ASCEND_RT_VISIBLE_DEVICES',
  'TWINKLE_NOSET_CUDA_VISIBLE_DEVICES',
  'TWINKLE_NPU_SMI',
  'TWINKLE_NVML_LIBRARY',
  'TWINKLE_PRINT_FORMAT',
  'TWINKLE_RAY_NAMESPACE',
  'TWINKLE_SERVER_CONFIG',
];

/** A mistyped variable would be ignored in silence: say what was probably meant. Far words are other programs' business. */
function unknownVariables(env: Env): string[] {
  const known = [...OPTION_KEYS.map(environmentName), ...OTHER_VARIABLES];
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith('TWINKLE_') || known.includes(name)) return [];
    const meant = nearest(name, known);
    return meant === null ? [] : [`${name} is set but unknown; did you mean ${meant}?`];
  });
}
