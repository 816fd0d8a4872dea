/** The file of `--config`: finds out which kind it is, ours or a Twinkle Server's, and reads it. Wiring only. */
import { isAbsolute, resolve } from 'node:path';
import type { WrittenTwinkle } from '../config/compile-twinkle.js';
import { expandHome } from '../config/model.js';
import { invalid, type Origin, type Written } from '../config/settings.js';
import { areApplications, KINDS } from '../config/twinkle/kinds.js';
import type { YamlEntry } from '../config/yaml-file.js';
import { inside, plain } from '../config/yaml-tree.js';
import { TwinkleError } from '../errors.js';
import { configText } from './config-text.js';

/** Which file, and what is said of it elsewhere. */
export interface ConfigFileRequest {
  /** `-`: standard input; null: none. */
  readonly file: string | null;
  /** Any other file than a Twinkle Server's is refused. */
  readonly onlyTwinkle: boolean;
  /** `--namespace`; null: `TWINKLE_RAY_NAMESPACE`, if set, else what the file says. */
  readonly namespace: Written | null;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths count from. */
  readonly cwd: string;
  /** What `~` stands for. */
  readonly userHome: string;
}

/** What it says. One of the two is empty. */
export interface ConfigFile {
  readonly yaml: readonly YamlEntry[];
  readonly twinkle: WrittenTwinkle | null;
}

/**
 * Read it.
 * @throws `CONFIG_INVALID`; `USAGE` for a namespace without a file that has one
 */
export async function readConfigFile(request: ConfigFileRequest): Promise<ConfigFile> {
  const { file, onlyTwinkle, namespace, env, cwd, userHome } = request;
  if (file === null) return ours([], namespace);
  const { parseYamlConfig } = await import('../config/yaml-file.js');
  const expanded = expandHome(file, userHome);
  const path = isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
  const text = await configText(file, path, `a YAML file ${onlyTwinkle ? 'of a server' : 'for `--config`'}`);
  const yaml = await parseYamlConfig(text, file === '-' ? 'stdin' : path);
  const applications = yaml.find(({ key }) => key === 'applications');
  if (!areApplications(applications?.value)) {
    if (onlyTwinkle) throw otherFile(file);
    return ours(yaml, namespace);
  }
  const { compileText } = await import('./read-twinkle.js');
  const { config, resolved, warnings } = await compileText(text, { file, env, cwd });
  const written = (key: string): Written | null => {
    const found = inside(resolved, ['http_options', key]);
    return found === null || found.origin.source === 'default' ? null : { value: plain(found), origin: found.origin };
  };
  const named = { ...config, namespace: namespaceOver(config.namespace, namespace, env) };
  const { origin } = applications as YamlEntry;
  return { yaml: [], twinkle: { config: named, origin, host: written('host'), port: written('port'), warnings } };
}

function ours(yaml: readonly YamlEntry[], namespace: Written | null): ConfigFile {
  if (namespace === null) return { yaml, twinkle: null };
  const { name } = namespace.origin;
  throw new TwinkleError('USAGE', `\`${name}\` goes with the file of a Twinkle Server; name one, or leave it out`);
}

function otherFile(file: string): TwinkleError {
  const kinds = `${KINDS.slice(0, -1).join(', ')} or ${KINDS.at(-1)}`;
  return new TwinkleError(
    'CONFIG_INVALID',
    `expected the file of a Twinkle Server, whose \`applications\` have ${kinds} as \`import_path\`, but ${file} has none; start any other file with \`serve --config\``,
  );
}

const ENV: Origin = { source: 'env', name: 'TWINKLE_RAY_NAMESPACE', at: null };

function namespaceOver(ofFile: string, flag: Written | null, env: ConfigFileRequest['env']): string {
  const variable = env[ENV.name];
  const written = flag ?? (variable ? { value: variable, origin: ENV } : null);
  if (written === null) return ofFile;
  if (typeof written.value === 'string' && written.value.trim() !== '') return written.value;
  throw invalid(written, 'a name');
}
