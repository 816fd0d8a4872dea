/** The options of `createServer`: the flags' names in camel case. Turns them into the layer that `compile.ts` merges. */
import { TwinkleError } from '../errors.js';
import { didYouMean } from '../util/did-you-mean.js';
import type { WrittenEngineArg } from './compile.js';
import { isOptionKey, kebabCase, OPTION_KEYS, type OptionKey } from './options.js';
import type { Layer, Written } from './settings.js';
import type { EngineName, ServeConfig } from './types.js';

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
