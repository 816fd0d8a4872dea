/** Adapters that lie in folders under one folder (`dynamic_lora_loading_path`). Reads names only; what is inside is the engine's to judge. */
import { existsSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { TwinkleError } from '../errors.js';
import { isFolderName } from './adapter-names.js';

/** Where adapters come from that nobody loaded by name. */
export interface AdapterSource {
  /** Whether a request may name it: cheap, for every request with an unknown name asks. */
  has(name: string): boolean;
  /** A local folder that the engine may load. Throws `MODEL_NOT_FOUND` when there is none of that name or it leads elsewhere. */
  fetch(name: string): Promise<string>;
}

/** The source for a configured path. Of a URL such as s3://… nothing is fetched: the first request for an adapter hears what to do. */
export function adapterSource(path: string): AdapterSource {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(path)?.[1];
  return scheme === undefined ? new AdapterFolder(path) : new UnfetchedSource(scheme);
}

/** Adapters in a store that this version has no client for. The base model is served all the same. */
class UnfetchedSource implements AdapterSource {
  constructor(readonly scheme: string) {}

  has(name: string): boolean {
    return isFolderName(name);
  }

  fetch(name: string): Promise<string> {
    const why = `adapters are not fetched from ${this.scheme}:// by this version`;
    return Promise.reject(
      new TwinkleError(
        'MODEL_NOT_FOUND',
        `There is no LoRA adapter \`${name}\`: ${why}; copy them into a folder, or mount it, and set dynamic_lora_loading_path to that.`,
        { param: 'model' },
      ),
    );
  }
}

/** What makes a folder an adapter, to PEFT and to vLLM. */
const MARK = 'adapter_config.json';

export class AdapterFolder implements AdapterSource {
  /** @param root absolute */
  constructor(readonly root: string) {}

  has(name: string): boolean {
    return isFolderName(name) && existsSync(join(this.root, name, MARK));
  }

  async fetch(name: string): Promise<string> {
    // The message tells names and no paths: those are the operator's.
    const none = (why: string): TwinkleError =>
      new TwinkleError('MODEL_NOT_FOUND', `There is no LoRA adapter \`${name.slice(0, 64)}\`: ${why}.`, {
        param: 'model',
      });
    if (!isFolderName(name)) throw none('it is no plain folder name');
    let folder: string;
    let root: string;
    try {
      root = await realpath(this.root);
      folder = await realpath(join(root, name));
      await stat(join(folder, MARK));
    } catch {
      throw none(`the dynamic loading path has no such folder with ${MARK}`);
    }
    // A link may lead out; what it leads to was not offered.
    if (!folder.startsWith(root.endsWith(sep) ? root : root + sep))
      throw none('its folder is a link out of the loading path');
    return folder;
  }
}
