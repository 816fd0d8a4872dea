/** Adapters that lie in folders under one folder (`dynamic_lora_loading_path`). Reads names only; what is inside is the engine's to judge. */
import { existsSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { TwinkleError } from '../errors.js';
import { isFolderName } from './adapter-names.js';
import { type AdapterFiles, type AdapterSource, lasting } from './adapter-source.js';

/** What makes a folder an adapter, to PEFT and to vLLM. */
const MARK = 'adapter_config.json';

export class AdapterFolder implements AdapterSource {
  /** @param root absolute */
  constructor(readonly root: string) {}

  has(name: string): boolean {
    return isFolderName(name) && existsSync(join(this.root, name, MARK));
  }

  async fetch(name: string): Promise<AdapterFiles> {
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
    return lasting(folder);
  }
}
