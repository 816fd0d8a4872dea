/** From what a file says to the models that are served and trained: what no file can tell to be impossible is refused here. Pure. */
import { TwinkleError } from '../../errors.js';
import type { Bundle, ModelConfig, ModelPlacement, TrainedModel } from '../types.js';
import type { Application, DeviceGroup, ModelApplication, SamplerApplication, TwinkleConfig } from './types.js';

export interface TwinkleModels {
  readonly models: readonly ModelConfig[];
  readonly trained: readonly TrainedModel[];
}

/**
 * @param modelOf where a model comes from, by its id in the file and the engine
 * @throws `CONFIG_INVALID` with a line for each application that cannot be started here; what `modelOf` throws
 */
export function modelsOf(
  { applications }: Pick<TwinkleConfig, 'applications'>,
  modelOf: (id: string, engine: ModelConfig['engine']) => string,
): TwinkleModels {
  const refused = applications.flatMap((app) => whyNot(app).map((why) => `application "${app.name}": ${why}`));
  if (refused.length > 0) throw new TwinkleError('CONFIG_INVALID', refused.join('\n'));
  return {
    models: applications.flatMap((app) => (app.kind === 'sampler' ? [served(app, modelOf)] : [])),
    trained: applications.flatMap((app) => (app.kind === 'model' ? [trained(app, modelOf)] : [])),
  };
}

type ModelOf = Parameters<typeof modelsOf>[1];

/** Of the sampler's gangs, each is a process of its device group with all that the group gives it. */
const workersOf = ({ perWorker, ranks }: DeviceGroup): number => ranks / perWorker;

function served(app: SamplerApplication, modelOf: ModelOf): ModelConfig {
  const { deployment, devices, engineArgs, maxModelLen, modelId, modelName } = app;
  const engine = app.engine === 'torch' ? 'transformers' : app.engine;
  return {
    model: modelOf(modelId, engine),
    servedNames: [modelName],
    engine,
    tensorParallel: devices.perWorker,
    pipelineParallel: 1,
    dataParallel: deployment.replicas * workersOf(devices),
    autoscaling: deployment.autoscaling,
    maxOngoing: deployment.maxOngoing,
    maxQueued: deployment.maxQueued,
    routing: engine === 'vllm' && engineArgs.enable_prefix_caching !== false ? 'prefix' : 'least-loaded',
    placement: placementOf(devices, deployment.resources, devices.perWorker),
    maxModelLen,
    engineArgs,
    lora: null,
    envVars: deployment.envVars,
  };
}

function trained(app: ModelApplication, modelOf: ModelOf): TrainedModel {
  const { backend, deployment, devices, full, maxLength, maxLoras, modelId, modelName } = app;
  const engine = backend === 'mock' ? 'mock' : 'transformers';
  return {
    name: modelName,
    model: modelOf(modelId, engine),
    engine,
    ranks: devices.ranks,
    shard: devices.mesh.fsdp > 1,
    placement: placementOf(devices, deployment.resources, devices.ranks),
    maxModelLen: maxLength,
    full,
    maxRuns: full ? 1 : maxLoras,
    maxLifeMs: app.adapterMaxLifetimeMs,
    silenceMs: app.adapterTimeoutMs,
    envVars: deployment.envVars,
  };
}

/** What a replica holds beside its devices goes to its first bundle, as in Ray. @param ranks of one gang */
function placementOf({ type }: DeviceGroup, resources: Bundle, ranks: number): ModelPlacement {
  const accelerator = type === 'CPU' ? null : type;
  const { CPU: replicaCpus = null, ...others } = resources;
  const one: Bundle = accelerator === null ? { CPU: 1 } : { [accelerator]: 1 };
  const first: Record<string, number> = { ...one };
  for (const [name, amount] of Object.entries(others)) first[name] = (first[name] ?? 0) + amount;
  const bundles =
    Object.keys(others).length === 0 ? null : [first, ...Array.from({ length: ranks - 1 }, (): Bundle => one)];
  // Its ranks talk to each other all the time.
  return { accelerator, acceleratorType: null, strategy: 'PACK', dataParallel: 'replica', bundles, replicaCpus };
}

/** What this server cannot do of what an application says. */
function whyNot(app: Application): string[] {
  if (app.kind !== 'model' && app.kind !== 'sampler') return [];
  return [...chosenDevices(app.devices), ...(app.kind === 'model' ? whyNotTrained(app) : whyNotServed(app))];
}

function chosenDevices({ chosen, type, visible }: DeviceGroup): string[] {
  if (chosen === null && visible === null) return [];
  const [name, list] = visible === null ? ['ranks', chosen ?? []] : ['visible_devices', visible];
  const offer = type === 'CPU' ? '' : `, and say --${type.toLowerCase()}s ${list.join(',')} to offer no others`;
  return [
    `\`device_group.${name}\` chooses devices (${list.join(', ')}), and placement does that here: write how many${offer}`,
  ];
}

/** That engine is not made for them. @param who as the file names it */
function withoutNpus({ type }: DeviceGroup, who: string): string[] {
  return type === 'NPU' ? [`${who} runs on GPUs and CPUs, and not on NPUs: write device_type cuda or CPU`] : [];
}

/** Dimensions that cut a model, or a sequence, in ways that this backend does not know. */
const CUTS = ['tp', 'pp', 'cp', 'ulysses', 'ep', 'etp', 'vpp'] as const;

function whyNotTrained({ backend, deployment, devices, full }: ModelApplication): string[] {
  if (backend === 'megatron') {
    return [
      'backend megatron is not here yet: write `backend: transformers` with dp_size or fsdp_size for as many ranks, or leave the application out',
    ];
  }
  const cuts = CUTS.filter((cut) => devices.mesh[cut] > 1).map((cut) => `${cut}_size ${devices.mesh[cut]}`);
  return [
    ...(backend === 'transformers' ? withoutNpus(devices, 'backend transformers') : []),
    ...(full && devices.mesh.fsdp > 1
      ? [
          `a model that is spread over ranks is trained by LoRA alone, and train_mode is full: write dp_size instead of fsdp_size ${devices.mesh.fsdp}`,
        ]
      : []),
    ...(cuts.length === 0
      ? []
      : [`backend ${backend} trains with dp_size and fsdp_size, and not with ${cuts.join(', ')}: write those instead`]),
    ...(deployment.replicas > 1
      ? [
          'a model is trained by one replica here, whose ranks share the work: raise `ranks` and dp_size instead of replicas',
        ]
      : []),
  ];
}

function whyNotServed({ deployment, devices, engine }: SamplerApplication): string[] {
  const { cp, ep, mesh, pp, ulysses } = { ...devices, ...devices.mesh };
  const cuts = Object.entries({ pp, cp, ulysses, ep }).filter(([, size]) => size > 1);
  return [
    ...(engine === 'torch' ? withoutNpus(devices, 'sampler_type torch') : []),
    ...(engine === 'torch' && devices.perWorker > 1
      ? [`sampler_type torch has one device in a process, and not ${devices.perWorker}: write vllm, or tp_size 1`]
      : []),
    ...(cuts.length === 0
      ? []
      : [`a sampler's processes have devices by tp_size, and not by ${cuts.map(([cut]) => `${cut}_size`).join(', ')}`]),
    ...(deployment.autoscaling !== null && workersOf(devices) > 1
      ? [
          `replicas whose number changes have one process each, and the device group gives each ${workersOf(devices)} (dp_size ${mesh.dp}): write ranks for one, and more max_replicas`,
        ]
      : []),
  ];
}
