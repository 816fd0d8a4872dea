/** The options of `createServer`: the flags' names in camel case. Turns them into the layer that `compile.ts` merges. */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import type { WrittenEngineArg } from './compile.js';
import { isOptionKey, kebabCase, OPTION_KEYS, type OptionKey } from './options.js';
import type { Layer, Written } from './settings.js';
import type { Bundle, EngineName, PlacementStrategy, ServeConfig } from './types.js';

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
  readonly crashLoopLimit?: number;
  /** Seconds. */
  readonly crashLoopWindow?: number;
  readonly home?: string;
  readonly logLevel?: ServeConfig['logLevel'];
  /** Arguments of the engine by its own names. */
  readonly engineArgs?: Readonly<Record<string, unknown>>;
}

/**
 * The options as a layer; `undefined` counts as not written.
 * @throws `USAGE` for an unknown option, with what was probably meant
 */
export function optionsLayer(options: ServeOptions): { layer: Layer; engineArgs: readonly WrittenEngineArg[] } {
  const layer = new Map<OptionKey, Written>();
  const engineArgs: WrittenEngineArg[] = [];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (name === 'engineArgs') {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) {
        throw new TwinkleError(
          'CONFIG_INVALID',
          `expected an object for \`engineArgs\` but received ${JSON.stringify(value)}`,
        );
      }
      for (const [arg, given] of Object.entries(value)) {
        engineArgs.push({ name: kebabCase(arg), value: given, where: `engineArgs.${arg}` });
      }
      continue;
    }
    const key = kebabCase(name);
    if (!isOptionKey(key)) {
      const names = [...OPTION_KEYS.map(camelCase), 'engineArgs'];
      throw new TwinkleError('USAGE', `unknown option \`${name}\`${didYouMean(name, names)}`);
    }
    layer.set(key, { value, origin: { source: 'option', name, at: null } });
  }
  return { layer, engineArgs };
}

/** `max-model-len` → `maxModelLen`. */
function camelCase(key: string): string {
  return key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
