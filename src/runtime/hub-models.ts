/** Models that no folder of this machine has, and that only ModelScope's library knows how to fetch: fetched before anything is started. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PYTHON_WORKERS } from '../config/package-root.js';
import { MODELSCOPE } from '../config/twinkle/model-source.js';
import type { EngineName } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { PythonEnvironment } from '../python/types.js';

const run = promisify(execFile);

export interface HubContext {
  readonly pythons: ReadonlyMap<EngineName, Pick<PythonEnvironment, 'python'>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
}

/**
 * The models, with folders for those that were fetched.
 * @throws `LOAD_FAILED` with the library's words
 */
export async function fetchedFromHub<T extends { readonly model: string; readonly engine: EngineName }>(
  models: readonly T[],
  context: HubContext,
): Promise<readonly T[]> {
  const fetched: T[] = [];
  // One after another: a sampler and a trainer have the same.
  for (const model of models)
    fetched.push(
      model.engine !== 'mock' && model.model.startsWith(MODELSCOPE)
        ? { ...model, model: await folderOf(model, context) }
        : model,
    );
  return fetched;
}

async function folderOf(
  { engine, model }: { readonly model: string; readonly engine: EngineName },
  { env, pythons, signal }: HubContext,
): Promise<string> {
  const python = pythons.get(engine)?.python;
  if (python === undefined) throw new TwinkleError('PYTHON_ENV', `no Python is known for engine \`${engine}\``);
  const path = [PYTHON_WORKERS, env.PYTHONPATH].filter((part) => part).join(':');
  try {
    const { stdout } = await run(python, ['-m', 'twinkle_worker.fetch_model', model.slice(MODELSCOPE.length)], {
      env: { ...env, PYTHONPATH: path },
      maxBuffer: 64 << 20,
      ...(signal === undefined ? {} : { signal }),
    });
    return stdout.trim().split('\n').at(-1) ?? '';
  } catch (error) {
    signal?.throwIfAborted();
    const said = (error as { stderr?: string }).stderr?.trim().split('\n').at(-1) ?? String(error);
    throw new TwinkleError(
      'LOAD_FAILED',
      `model ${model} is in no cache of this machine and could not be fetched: ${said}. Or name its folder, or hf://org/name`,
      { cause: error },
    );
  }
}
