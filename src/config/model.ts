/** The model part of the configuration: which model, its names, its engine and its shape. */
import { existsSync, statSync } from 'node:fs';
import { isAbsolute, join, resolve } from 'node:path';
import { TwinkleError } from '../errors.js';
import { DEMO_MODEL } from './package-root.js';
import { invalid, type Settings } from './settings.js';
import type { EngineName, ModelConfig } from './types.js';

/** Model, names and shape, before devices. */
export interface ModelShape
  extends Pick<
    ModelConfig,
    'model' | 'servedNames' | 'engine' | 'tensorParallel' | 'pipelineParallel' | 'dataParallel' | 'maxModelLen'
  > {
  /** True when no model was named at all. */
  readonly unnamed: boolean;
}

/**
 * Read the model's options.
 * @param cwd folder that relative paths count from
 * @param userHome what `~` stands for
 * @throws `CONFIG_INVALID` for a folder that is not there or an engine that cannot be split as asked
 */
export function compileModel(settings: Settings, cwd: string, userHome: string): ModelShape {
  const engine = settings.choice('engine') as EngineName;
  const named = settings.text('model');
  const written = named ?? (engine === 'mock' ? 'mock' : 'demo');
  const names = settings.list('served-model-name');
  const duplicate = names?.find((name, index) => names.indexOf(name) !== index);
  const writtenNames = settings.written('served-model-name');
  if (duplicate !== undefined && writtenNames !== null) throw invalid(writtenNames, 'names that differ');
  const shape = {
    tensorParallel: settings.number('tensor-parallel-size') as number,
    pipelineParallel: settings.number('pipeline-parallel-size') as number,
    dataParallel: settings.number('data-parallel-size') as number,
  };
  if (engine === 'transformers') refuseSplit(settings, shape.tensorParallel, shape.pipelineParallel);
  return {
    model: engine === 'mock' ? written : resolveModel(settings, written, cwd, userHome),
    servedNames: names ?? [written],
    engine,
    ...shape,
    maxModelLen: settings.number('max-model-len'),
    unnamed: named === null,
  };
}

function refuseSplit(settings: Settings, tensor: number, pipeline: number): void {
  if (tensor === 1 && pipeline === 1) return;
  const written = settings.written(tensor > 1 ? 'tensor-parallel-size' : 'pipeline-parallel-size');
  if (written === null) return;
  throw invalid(
    written,
    '1 with engine transformers',
    false,
    'that engine runs a replica in one rank; engine vllm splits models (--engine vllm), -dp makes more replicas',
  );
}

/** `demo` → its folder; a path → absolute; anything else is a hub id. */
function resolveModel(settings: Settings, written: string, cwd: string, userHome: string): string {
  if (written === 'demo') return requireDemo();
  const expanded = expandHome(written, userHome);
  const path = isAbsolute(expanded) ? expanded : resolve(cwd, expanded);
  if (existsSync(path)) {
    if (statSync(path).isDirectory()) return path;
    throw invalid(
      settings.written('model') ?? { value: written, origin: settings.origin('model') },
      'a model folder or a hub id',
      false,
      `${path} is a file; name the folder that holds config.json`,
    );
  }
  const looksLikePath = /^(\.{0,2}\/|~)/.test(written) || written.split('/').length > 2;
  if (!looksLikePath && /^[\w.-]+(?:\/[\w.-]+)?$/.test(written)) return written;
  throw invalid(
    settings.written('model') ?? { value: written, origin: settings.origin('model') },
    'a model folder or a hub id such as Qwen/Qwen3-0.6B',
    false,
    `there is no folder ${path}`,
  );
}

function requireDemo(): string {
  if (existsSync(join(DEMO_MODEL, 'config.json'))) return DEMO_MODEL;
  throw new TwinkleError(
    'CONFIG_INVALID',
    `the built-in model is missing (${DEMO_MODEL}): the package is incomplete; install it again, or name a model`,
  );
}

/** `~/x` → `<home>/x`. */
export function expandHome(path: string, userHome: string): string {
  return path === '~' || path.startsWith('~/') ? join(userHome, path.slice(1)) : path;
}
