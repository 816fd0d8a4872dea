/** How requests find their replica: by the cache of an engine that has one. */
import { invalid, type Settings } from './settings.js';
import type { EngineName, Routing } from './types.js';

/** Engines that keep what they computed of a prompt for the next one. The mock engine stands in for them. */
const CACHING: readonly EngineName[] = ['vllm', 'mock'];

/**
 * The routing of a model.
 * @throws `USAGE` or `CONFIG_INVALID` for routing by prefix where nothing is cached
 */
export function compileRouting(
  settings: Settings,
  engine: EngineName,
  engineArgs: Readonly<Record<string, unknown>>,
): Routing {
  const written = settings.written('routing');
  const off = engineArgs.enable_prefix_caching === false;
  if (written === null) return engine === 'vllm' && !off ? 'prefix' : 'least-loaded';
  const routing = settings.choice('routing') as Routing;
  if (routing === 'prefix' && (off || !CACHING.includes(engine))) {
    const why = off ? 'enable_prefix_caching is false' : `engine ${engine} keeps no prefix cache`;
    throw invalid(written, 'least-loaded', false, `${why}: there is nothing to route by`);
  }
  return routing;
}
