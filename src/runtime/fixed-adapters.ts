/** `--lora-modules`: which adapters the engines load by themselves at their starts, and those of buckets fetched before that. */
import type { ModelConfig } from '../config/types.js';
import type { BucketAdapters } from '../serving/bucket/bucket-adapters.js';
import { isBucketUrl } from '../util/bucket-url.js';

interface Module {
  readonly name: string;
  readonly path: string;
}

/** `name=path`, or a JSON object with `name` and `path`. What it cannot read is vLLM's to refuse. */
export function fixedAdapters(written: unknown): readonly Module[] {
  return itemsOf(written).flatMap((item) => readModule(item) ?? []);
}

/**
 * The model with folders in place of `s3://…`. They stay as long as the server: each start of an engine reads them.
 * @throws as {@link BucketAdapters.localise}: a server without an adapter that was asked for does not start
 */
export async function withFetchedModules(config: ModelConfig, buckets: BucketAdapters): Promise<ModelConfig> {
  const { lora_modules: written } = config.engineArgs;
  if (!fixedAdapters(written).some(({ path }) => isBucketUrl(path))) return config;
  const modules = await Promise.all(
    itemsOf(written).map(async (item) => {
      const module = readModule(item);
      if (module === null || !isBucketUrl(module.path)) return item;
      const { path } = await buckets.localise(module.name, module.path, 'lora_modules');
      const described = typeof item === 'object' || (item as string).trimStart().startsWith('{');
      return described ? JSON.stringify({ ...objectOf(item), path }) : `${module.name}=${path}`;
    }),
  );
  return { ...config, engineArgs: { ...config.engineArgs, lora_modules: modules } };
}

function itemsOf(written: unknown): readonly unknown[] {
  return Array.isArray(written) ? written : written === undefined ? [] : [written];
}

function readModule(item: unknown): Module | null {
  const { name, path } = objectOf(item);
  return typeof name === 'string' && typeof path === 'string' ? { name, path } : null;
}

function objectOf(item: unknown): Record<string, unknown> {
  if (typeof item !== 'string') return (item ?? {}) as Record<string, unknown>;
  const equals = item.indexOf('=');
  if (!item.trimStart().startsWith('{')) return { name: item.slice(0, equals), path: item.slice(equals + 1) };
  try {
    return JSON.parse(item) as Record<string, unknown>;
  } catch {
    return {};
  }
}
