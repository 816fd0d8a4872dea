/** Where a model of a file comes from: its id, with the hub that it names. Looks for folders, and at nothing else. */
import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { TwinkleError } from '../../errors.js';
import { expandHome } from '../model.js';
import { DEMO_MODEL } from '../package-root.js';
import type { EngineName } from '../types.js';

export interface SourceContext {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths count from. */
  readonly cwd: string;
  /** What `~` stands for. */
  readonly userHome: string;
}

/** A model that the ModelScope library has to find, or to fetch. */
export const MODELSCOPE = 'ms://';
const HUGGING_FACE = 'hf://';
const HUB_ID = /^\w[\w.-]*\/\w[\w.-]*$/;

/**
 * A folder, a hub id, `ms://…` where no cache of this machine has the model, or a word for engine mock.
 * @param id as written: `ms://org/name`, `hf://org/name`, a folder, `org/name`, or `demo`
 * @throws `CONFIG_INVALID` for what is none of them
 */
export function modelSource(id: string, engine: EngineName, { cwd, env, userHome }: SourceContext): string {
  if (engine === 'mock') return id;
  if (id === 'demo') return DEMO_MODEL;
  const hub = [MODELSCOPE, HUGGING_FACE].find((one) => id.startsWith(one));
  if (hub === undefined) {
    const expanded = expandHome(id, userHome);
    const path = isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
    if (isFolder(path)) return path;
    if (HUB_ID.test(id)) return id;
    throw refused(id, `there is no folder ${path}`);
  }
  const name = id.slice(hub.length);
  if (!HUB_ID.test(name)) throw refused(id, `a hub's models go by ${hub}org/name`);
  if (hub === HUGGING_FACE) return name;
  return modelScopeFolders(name, env, userHome).find((folder) => existsSync(join(folder, 'config.json'))) ?? id;
}

/** Where ModelScope's library of today, and those before it, keep a model. */
function modelScopeFolders(name: string, env: SourceContext['env'], userHome: string): readonly string[] {
  const cache = env.MODELSCOPE_CACHE || join(userHome, '.cache', 'modelscope', 'hub');
  // A dot in a name has become three underscores.
  const names = [...new Set([name, name.replaceAll('.', '___')])];
  return [join(cache, 'models'), join(cache, 'hub', 'models'), cache].flatMap((folder) =>
    names.map((one) => join(folder, one)),
  );
}

const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

function refused(id: string, why: string): TwinkleError {
  return new TwinkleError(
    'CONFIG_INVALID',
    `expected ms://org/name, hf://org/name or a model folder for \`model_id\` but received ${JSON.stringify(id)}: ${why}`,
  );
}
