/** The options of `createServer`: the flags' names in camel case. Turns them into the layer that `compile.ts` merges. */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import type { WrittenEngineArg } from './compile.js';
import { takeEngineArgs } from './engine-options.js';
import type { WrittenLlmConfigs } from './llm-config.js';
import type { LlmConfigInput } from './llm-config-types.js';
import { isOptionKey, kebabCase, OPTION_KEYS, type OptionKey } from './options.js';
import type { Layer, Written } from './settings.js';
import type { Bundle, EngineName, PlacementStrategy, Routing, ServeConfig } from './types.js';

/** Ray Serve LLM's `placement_group_config`: one of `bundles` and `bundle_per_worker`. */
export type PlacementGroupConfig = { readonly strategy?: PlacementStrategy } & (
  | { readonly bundles: readonly Bundle[] }
  | { readonly bundle_per_worker: Bundle }
);

/** What `createServer` takes. Everything is optional and means the same as the flag of that name. */
export interface ServeOptions {
  /** Folder or hub id; none: the built-in demo model. */
  readonly model?: string;
  readonly engine?: EngineName;
  /** Names that clients use; the first is shown in answers. */
  readonly servedModelName?: string | readonly string[];
  readonly maxModelLen?: number | string;
  readonly tensorParallelSize?: number;
  readonly pipelineParallelSize?: number;
  readonly dataParallelSize?: number;
  /** Exactly these GPUs: `'0-3'`, `[0, 2]` or UUIDs. */
  readonly gpus?: string | readonly (number | string)[];
  /** Exactly these NPUs. */
  readonly npus?: string | readonly (number | string)[];
  /** Use no accelerator. */
  readonly cpu?: boolean;
  /** Train on exactly these GPUs, which models are not served on; none: on those of the model that is trained. */
  readonly trainGpus?: string | readonly (number | string)[];
  /** Ranks that train a model together at most; none: one on each of its devices, or one on CPUs. */
  readonly trainRanks?: number;
  /** Runs of rank 0 may train all parameters of a model, alone on it: 16 bytes each beside the model. */
  readonly trainFull?: boolean;
  /** Spread a model over the ranks that train it, two at least: for models that do not fit one device. */
  readonly trainShard?: boolean;
  /** With engine vllm: replicas sleep while their model is trained on the same GPUs, and wake to sample. */
  readonly sleepWhileTraining?: boolean;
  /** Training runs of a model that are on its devices at a time; one more has another one parked on disk. */
  readonly maxTrainingRuns?: number;
  /** Seconds: a run that nobody asked anything of for so long is parked; ranks that train and have no run for so long end. */
  readonly trainingIdleTimeout?: number;
  /** Seconds: a training run that is older is saved and ends; none: it lives as long as its session. */
  readonly maxRunLife?: number;
  /** Bytes of the checkpoints of one API key at most; none: as much as the disk takes. */
  readonly maxCheckpointBytes?: number | string;
  /** Keep checkpoints in a bucket: `'s3://bucket/prefix'`; none: in the home folder. */
  readonly checkpointStore?: string;
  /** CPUs that this machine offers; none: those that this process may use. */
  readonly numCpus?: number;
  /** How the ranks of a replica lie on nodes. */
  readonly placement?: PlacementStrategy;
  /** A placement group for each replica (default), or one for all. */
  readonly dataParallelPlacement?: 'replica' | 'gang';
  /** Bundles of a replica, as in Ray Serve LLM. */
  readonly placementGroupConfig?: PlacementGroupConfig;
  /** Only on devices of this type: `'H100'`. */
  readonly acceleratorType?: string;
  /** CPUs of a replica beside its devices; fractions and 0 are allowed. */
  readonly replicaCpus?: number;
  /** How requests find their replica; none: by prefix with engine vllm. */
  readonly routing?: Routing;
  /** Who gives out devices: the head that runs here, or this process alone. */
  readonly address?: 'auto' | 'local';
  readonly host?: string;
  readonly port?: number;
  readonly uds?: string;
  /** Bytes, or a size such as `'16MiB'`. */
  readonly bodyLimit?: number | string;
  readonly queueSize?: number;
  readonly apiKey?: string | readonly string[];
  readonly noAuth?: boolean;
  /** Your own interpreter. */
  readonly python?: string;
  /** Never make the Python environment. */
  readonly noSetup?: boolean;
  /** Seconds. */
  readonly shutdownTimeout?: number;
  /** Seconds of each phase of a start. */
  readonly startTimeout?: number;
  /** Seconds of an engine step. */
  readonly stepTimeout?: number;
  readonly crashLoopLimit?: number;
  /** Seconds. */
  readonly crashLoopWindow?: number;
  readonly home?: string;
  readonly logLevel?: ServeConfig['logLevel'];
  /** Arguments of the engine by its own names, in snake or camel case: every one of `vllm serve`, for engine vllm. */
  readonly engineArgs?: Readonly<Record<string, unknown>>;
  /** Several models, or one, as in Ray Serve LLM; instead of `model` and what belongs to it. */
  readonly llmConfigs?: readonly LlmConfigInput[];
}

/**
 * The options as a layer; `undefined` counts as not written.
 * @throws `USAGE` for an unknown option, with what was probably meant
 */
export function optionsLayer(options: ServeOptions): {
  layer: Layer;
  engineArgs: readonly WrittenEngineArg[];
  llmConfigs: WrittenLlmConfigs | null;
} {
  const layer = new Map<OptionKey, Written>();
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name === 'engineArgs' || name === 'llmConfigs') continue;
    const key = kebabCase(name);
    if (!isOptionKey(key)) {
      const names = [...OPTION_KEYS.map(camelCase), 'engineArgs', 'llmConfigs'];
      throw new TwinkleError('USAGE', `unknown option \`${name}\`${didYouMean(name, names)}`);
    }
    layer.set(key, { value, origin: { source: 'option', name, at: null } });
  }
  const { engineArgs } = options;
  const llmConfigs: WrittenLlmConfigs | null =
    options.llmConfigs === undefined
      ? null
      : {
          value: options.llmConfigs,
          origin: { source: 'option', name: 'llmConfigs', at: null },
          place: () => null,
        };
  if (engineArgs === undefined) return { layer, engineArgs: [], llmConfigs };
  const origin = { source: 'option', name: 'engineArgs', at: null } as const;
  return { layer, engineArgs: takeEngineArgs(engineArgs, origin, layer), llmConfigs };
}

/** `max-model-len` → `maxModelLen`. */
function camelCase(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
