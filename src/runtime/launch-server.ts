/** `launchServer`: the server that the file of a Twinkle Server describes, inside somebody's Node process. */
import type { NotLaunchKey } from '../config/option-groups.js';
import type { Origin } from '../config/settings.js';
import { TwinkleError } from '../errors.js';
import { type CreateServerOptions, type Server, startServer } from './embed.js';

/** `max-model-len` → `maxModelLen`. */
type CamelCase<Key extends string> = Key extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<CamelCase<Rest>>}`
  : Key;

/** Options of {@link launchServer}: those of `createServer` but what the file says of each of its models. */
export interface LaunchServerOptions
  extends Omit<CreateServerOptions, CamelCase<NotLaunchKey> | 'engineArgs' | 'llmConfigs'> {
  /** Path of the YAML file; a relative one, as relative paths in the file, counts from the working folder. */
  readonly configPath: string;
  /** Over `ray_namespace` of the file and `TWINKLE_RAY_NAMESPACE`. */
  readonly namespace?: string;
}

/**
 * Start what the file describes. Resolves when all of it is ready. Options win over the environment (`TWINKLE_PORT`), which wins over the file.
 * @throws TwinkleError as `createServer`; `CONFIG_INVALID` for a file that is missing, wrong, or not a Twinkle Server's, and for an option
 *   that describes a model; `USAGE` when `configPath` is no text
 */
export async function launchServer(options: LaunchServerOptions): Promise<Server> {
  const { configPath, namespace, ...rest } = options;
  if (typeof configPath !== 'string' || configPath === '')
    throw new TwinkleError('USAGE', `expected the path of a file for \`configPath\` but received ${shown(configPath)}`);
  const origin: Origin = { source: 'option', name: 'namespace', at: null };
  return await startServer(rest, {
    configFile: configPath,
    onlyTwinkle: true,
    namespace: namespace === undefined ? null : { value: namespace, origin },
  });
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
