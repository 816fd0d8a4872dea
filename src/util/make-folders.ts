/** Makes folders, with those above them. Leaf helper. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * `path` and what is above it, with mode 0700 where they are made. One folder at a time: where the kernel answers ENOENT to the making of a
 * folder (/proc), Node's recursive way never ends.
 * @throws the system's error of the folder that cannot be made
 */
export function makeFolders(path: string): void {
  if (isFolder(path)) return;
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    // Somebody may have been quicker.
    if (isFolder(path)) return;
    const above = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || above === path || isFolder(above)) throw error;
    makeFolders(above);
    makeFolders(path);
  }
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
