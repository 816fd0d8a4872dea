/** The models of a configuration: the one that flags describe, or those of `llm_configs`, each by the same rules. */
import { TwinkleError } from '../errors.js';
import { compileAccelerator, type DeviceSource } from './accelerator.js';
import type { ConfigServices, WrittenEngineArg } from './compile.js';
import { type DeviceOffer, mergeOffers } from './devices.js';
import { type LlmConfig, readLlmConfigs, type WrittenLlmConfigs } from './llm-config.js';
import { compileModel } from './model.js';
import { isModelKey } from './option-groups.js';
import { OPTION_KEYS } from './options.js';
import { compilePlacement } from './placement.js';
import { readGroupConfig } from './placement-group-config.js';
import { compileRouting } from './routing.js';
import { type Layer, located, type Origin, Settings } from './settings.js';
import type { Bundle, EngineName, ModelConfig, ModelPlacement } from './types.js';

/** What was written of models. */
export interface WrittenModels {
  /** Of the whole server, strongest first. */
  readonly layers: readonly Layer[];
  readonly engineArgs: readonly WrittenEngineArg[];
  readonly llmConfigs: WrittenLlmConfigs | null;
  readonly cwd: string;
  readonly userHome: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** Models, the devices that this machine offers for them, and what the user should hear. */
export interface CompiledModels {
  readonly models: readonly ModelConfig[];
  readonly offer: DeviceOffer;
  readonly warnings: readonly string[];
}

interface Compiled {
  readonly model: ModelConfig;
  readonly offer: DeviceOffer;
  readonly warnings: readonly string[];
}

type Args = Pick<ConfigServices, 'engineArgs'>;

/**
 * Compile them.
 * @throws `USAGE`, `CONFIG_INVALID`, `DEVICE_MISSING`; also when two models share a name
 */
export async function compileModels(written: WrittenModels, source: DeviceSource, args: Args): Promise<CompiledModels> {
  const { llmConfigs } = written;
  if (llmConfigs === null) {
    const settings = new Settings(written.layers);
    const { model, ...rest } = await compileOne(settings, written.engineArgs, null, written, source, args);
    return { models: [model], ...rest };
  }
  refuseBeside(llmConfigs.origin, written);
  const configs = readLlmConfigs(llmConfigs);
  refuseClashes(configs);
  const compiled: Compiled[] = [];
  const once = asked(source);
  for (const config of configs) {
    const settings = new Settings([config.layer, ...written.layers]);
    compiled.push(await compileOne(settings, config.engineArgs, config, written, once, args));
  }
  return {
    models: compiled.map(({ model }) => model),
    offer: mergeOffers(compiled.map(({ offer }) => offer)),
    warnings: compiled.flatMap(({ warnings }) => warnings),
  };
}

async function compileOne(
  settings: Settings,
  writtenArgs: readonly WrittenEngineArg[],
  config: LlmConfig | null,
  { cwd, userHome, env }: WrittenModels,
  source: DeviceSource,
  services: Args,
): Promise<Compiled> {
  const said: string[] = [];
  const engine = settings.choice('engine') as EngineName;
  const { args, unused } =
    engine === 'mock' && config !== null ? rehearsed(writtenArgs, services) : { args: writtenArgs, unused: [] };
  const engineArgs = services.engineArgs(engine, args, OPTION_KEYS, (sentence) => said.push(sentence));
  if (unused.length > 0) said.push(`engine mock makes no use of ${unused.map((name) => `\`${name}\``).join(', ')}`);
  if (config?.lora != null) enableLora(config, engineArgs);
  // What needs the disk or the devices comes after what is wrong in itself.
  const { unnamed, ...shape } = compileModel(settings, cwd, userHome);
  const deployment = config?.deployment ?? null;
  if (deployment?.autoscaling != null && shape.dataParallel > 1) {
    throw (config as LlmConfig).field.refused(
      'data_parallel_size above 1 and replicas whose number changes do not go together',
      'write num_replicas, or equal bounds',
    );
  }
  const group = readGroupConfig(settings, shape.tensorParallel * shape.pipelineParallel);
  const routing = compileRouting(settings, engine, engineArgs);
  const { accelerator, offer } = await compileAccelerator(settings, { ...shape, unnamed }, group, source, env);
  const { placement, warnings } = compilePlacement(settings, { ...shape, unnamed }, group, accelerator);
  return {
    model: {
      ...shape,
      dataParallel: shape.dataParallel * (deployment?.replicas ?? 1),
      autoscaling: deployment?.autoscaling ?? null,
      maxOngoing: deployment?.maxOngoing ?? null,
      maxQueued: deployment?.maxQueued ?? null,
      routing,
      placement: withResources(placement, deployment?.resources ?? {}, shape.tensorParallel * shape.pipelineParallel),
      engineArgs,
      lora: config?.lora ?? null,
      envVars: config?.envVars ?? {},
    },
    offer,
    warnings: [...said, ...offer.warnings, ...warnings],
  };
}

/** Configurations are rehearsed with the mock engine: what vLLM would take is checked and named, and not passed on. */
function rehearsed(
  written: readonly WrittenEngineArg[],
  services: Args,
): { args: WrittenEngineArg[]; unused: string[] } {
  const args: WrittenEngineArg[] = [];
  const unused: string[] = [];
  for (const arg of written) {
    try {
      services.engineArgs('vllm', [arg], OPTION_KEYS, () => {});
    } catch {
      args.push(arg); // the mock engine's own, or nobody's
      continue;
    }
    try {
      services.engineArgs('mock', [arg], OPTION_KEYS, () => {});
      args.push(arg);
    } catch {
      unused.push(arg.name);
    }
  }
  return { args, unused };
}

function enableLora({ engine, field }: LlmConfig, engineArgs: Record<string, unknown>): void {
  if (engine !== 'vllm') return;
  if (engineArgs.enable_lora === false)
    throw field.refused('has lora_config, and enable_lora is false', 'leave one out');
  engineArgs.enable_lora = true;
}

/** Ray adds what a replica holds to its first bundle. */
function withResources(placement: ModelPlacement, resources: Bundle, ranks: number): ModelPlacement {
  if (Object.keys(resources).length === 0) return placement;
  const { accelerator, bundles } = placement;
  const [first = {}, ...others] =
    bundles ?? new Array<Bundle>(ranks).fill(accelerator === null ? { CPU: 1 } : { [accelerator]: 1 });
  const merged: Record<string, number> = { ...first };
  for (const [name, amount] of Object.entries(resources)) merged[name] = (merged[name] ?? 0) + amount;
  return { ...placement, bundles: [merged, ...others] };
}

/** @param origin of what describes the models @throws `CONFIG_INVALID` where flags or the environment describe one, too */
export function refuseBeside(origin: Origin, { layers, engineArgs }: WrittenModels): void {
  const settings = new Settings(layers);
  const key = OPTION_KEYS.find((one) => isModelKey(one) && settings.written(one) !== null);
  const name = key === undefined ? engineArgs[0]?.where : settings.origin(key).name;
  if (name === undefined) return;
  throw new TwinkleError(
    'CONFIG_INVALID',
    `${located(origin)}\`${origin.name}\` describes the models, and \`${name}\` one of its own; leave one out`,
  );
}

function refuseClashes(configs: readonly LlmConfig[]): void {
  const seen = new Map<string, string>();
  for (const { layer } of configs) {
    const names = layer.get('served-model-name');
    const [name = ''] = (names?.value ?? []) as readonly string[];
    const earlier = seen.get(name);
    const origin = names?.origin;
    if (origin === undefined) continue;
    if (earlier !== undefined) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `${located(origin)}\`${origin.name}\`: "${name}" is the name of ${earlier}, too; names must differ`,
      );
    }
    seen.set(name, `\`${origin.name}\``);
  }
}

/** Each thing is asked once, however many models want to know. */
function asked(source: DeviceSource): DeviceSource {
  let devices: ReturnType<DeviceSource['devices']> | null = null;
  let cluster: ReturnType<DeviceSource['cluster']> | null = null;
  return {
    devices: () => (devices ??= source.devices()),
    cluster: (address) => (cluster ??= source.cluster(address)),
  };
}
