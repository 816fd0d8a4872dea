/** `persistence`: where state is kept. Pure. */
import { entry, type Located } from '../yaml-tree.js';
import type { Problems } from './problems.js';
import type { FileFields } from './schema.js';
import type { PersistenceConfig } from './types.js';

const KEYS = ['file_path', 'redis_url', 'key_prefix'] as const;
const USED: Readonly<Record<PersistenceConfig['mode'], readonly string[]>> = {
  memory: [],
  file: ['file_path'],
  redis: ['redis_url', 'key_prefix'],
};

/**
 * @param root the whole file
 * @param resolve a path of the file → absolute
 */
export function readPersistence(
  { mode, file_path: path, redis_url: url, key_prefix: keyPrefix }: FileFields['persistence'],
  root: Located,
  resolve: (path: string) => string,
  problems: Problems,
): PersistenceConfig {
  const field = entry(root, 'persistence');
  const missing = (key: string): void => problems.add(field.origin, `\`${key}\` is missing: mode ${mode} needs it`);
  for (const key of KEYS) {
    const written = entry(field, key);
    if (written !== field && !USED[mode].includes(key))
      problems.warn(written.origin, `mode ${mode} has no use for \`${key}\``);
  }
  if (mode === 'file') {
    if (path === null) missing('file_path');
    return { mode, path: resolve(path ?? '') };
  }
  if (mode === 'memory') return { mode };
  if (url === null) missing('redis_url');
  else if (!/^(rediss?|unix):\/\//.test(url))
    problems.add(entry(field, 'redis_url').origin, 'expected a URL such as redis://host:6379/0');
  return { mode, url: url ?? '', keyPrefix };
}
