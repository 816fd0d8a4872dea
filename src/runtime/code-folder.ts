/** Where the folders lie that programs put here for their workers: named as those of adapters, so that those of killed heads can be told. */
import { join } from 'node:path';
import { ownName } from './adapters-folder.js';

/** `<home>/code`: what is in it belongs to heads that run, or ran. */
export function codeRoot(home: string): string {
  return join(home, 'code');
}

/** The folder of an instance of this process. Not made here: most programs put none. */
export function codeFolder(home: string, instance: string): string {
  return join(codeRoot(home), ownName(instance));
}
