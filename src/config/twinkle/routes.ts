/** Under which paths an application is reached, and by which name its model goes. Pure. */
import type { Located } from '../yaml-tree.js';
import type { Problems } from './problems.js';
import type { Kind } from './schema.js';

/** Where every client begins. */
const API = '/api/v1';

/** The path's word for each kind; documents have both numbers. */
const WORDS: Readonly<Record<Exclude<Kind, 'server'>, RegExp>> = {
  model: /^models?(?:\/|$)/,
  sampler: /^samplers?(?:\/|$)/,
  processor: /^processors?(?:\/|$)/,
};

/** Where it is, and for a model or sampler which name that gives it. */
export interface Route {
  /** The path that clients build comes first; then the one that was written, where that is another. */
  readonly prefixes: readonly string[];
  readonly modelName: string;
}

/**
 * @param written `route_prefix`: `/models/Qwen/Qwen3.5-4B`, with or without `/api/v1`; `/`: not written
 * @param modelId of a model or sampler, else empty: its name where the path says none
 */
export function routeOf(kind: Kind, written: string, modelId: string): Route {
  const path = written.replace(/\/+$/, '');
  const inside = path.startsWith(`${API}/`) ? path.slice(API.length + 1) : path.slice(1);
  const word = kind === 'server' ? null : WORDS[kind];
  const named = word?.test(inside) === true ? inside.replace(word, '') : '';
  const modelName = named === '' ? modelId.replace(/^[a-z]+:\/\//, '').replace(/^[/.~]+/, '') : named;
  const own = {
    server: API,
    processor: `${API}/processor`,
    model: `${API}/model/${modelName}`,
    sampler: `${API}/sampler/${modelName}`,
  }[kind];
  return { prefixes: path === '' || path === own ? [own] : [own, path], modelName };
}

/** What is wrong with a path by itself. Null: nothing. */
export function wrongPrefix(written: string): string | null {
  if (!written.startsWith('/')) return 'expected a path that begins with `/`';
  if (/[\s{}?#]|\/\//.test(written)) return 'expected a path without spaces, braces, `?`, `#` and `//`';
  return null;
}

/** No two applications are at one path. */
export function refuseShared(
  applications: readonly {
    readonly name: string;
    readonly prefixes: readonly string[];
    readonly origin: Located['origin'];
  }[],
  problems: Problems,
): void {
  const owners = new Map<string, { name: string; origin: Located['origin'] }>();
  for (const { name, prefixes, origin } of applications) {
    for (const prefix of prefixes) {
      const owner = owners.get(prefix);
      owners.set(prefix, owner ?? { name, origin });
      if (owner === undefined || owner.name === name) continue;
      // Of the two the one that somebody wrote: a server may be there by itself.
      const [at, other] = origin.source === 'default' ? [owner.origin, name] : [origin, owner.name];
      problems.add(at, `clients find application "${other}" at ${prefix} already`);
    }
  }
}
