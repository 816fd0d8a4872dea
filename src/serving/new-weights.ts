/** Weights that an update names: looked at as far as Node can, held as long as they are needed, and as the engine's route takes them. */
import { readdir, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import type { Command } from './types/control.js';
import type { NamedTensor, UpdateMode, WeightSource, WeightStore } from './types/weights.js';

/** The route of the engine (`engines/vllm/weight_update.py`). */
const PATH = '/twinkle/update_weights';

/** Weights with their memory. */
export interface NewWeights {
  /** The folder, or `segments`. */
  readonly label: string;
  /** What ranks must have attached; null: nothing. */
  readonly store: WeightStore | null;
  command(mode: UpdateMode): Command;
  /** They are not needed any more. */
  release(): void;
}

/**
 * Find weights and keep them.
 * @throws `INVALID_REQUEST` for a folder without safetensors, or for what is no tensor of the store
 */
export async function takeWeights(source: WeightSource): Promise<NewWeights> {
  if ('folder' in source) {
    const folder = await findFolder(source.folder);
    return { label: folder, store: null, command: (mode) => post({ path: folder, mode }), release: () => {} };
  }
  const { store, tensors } = source;
  const release = holdAll(store, tensors);
  return { label: 'segments', store, command: (mode) => post({ tensors, mode }), release };
}

/** Back to the weights that the engines were started with. */
export const ORIGINAL: Command = post({});

function post(body: object): Command {
  return { method: 'POST', path: PATH, query: '', body: JSON.stringify(body) };
}

async function findFolder(written: string): Promise<string> {
  const refuse = (why: string): TwinkleError =>
    new TwinkleError('INVALID_REQUEST', `expected a folder with safetensors for \`path\` but ${written} ${why}`, {
      param: 'path',
    });
  const path = written.startsWith('~/') ? join(homedir(), written.slice(2)) : written;
  if (!isAbsolute(path)) throw refuse('is not absolute; write it whole, or from ~/');
  let folder: string;
  let files: readonly string[];
  try {
    // What a link leads to now stays meant: a replica that starts later must not find a newer checkpoint.
    folder = await realpath(path);
    files = await readdir(folder);
  } catch (error) {
    throw refuse(`cannot be read: ${(error as Error).message}`);
  }
  if (!files.some((file) => file.endsWith('.safetensors'))) throw refuse('has none');
  return folder;
}

function holdAll(store: WeightStore, tensors: readonly NamedTensor[]): () => void {
  const held: (() => void)[] = [];
  const release = (): void => {
    for (const letGo of held.splice(0)) letGo();
  };
  for (const { name, tensor } of tensors) {
    try {
      held.push(store.hold(tensor));
    } catch (error) {
      release();
      throw new TwinkleError(
        'INVALID_REQUEST',
        `\`${name}\` is no tensor of store ${store.name}: ${(error as Error).message}`,
        { param: name },
      );
    }
  }
  return release;
}
