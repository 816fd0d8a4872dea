/** Where objects go while memory has no room: a folder for each head, whose name in the home says whose it is, wherever it lies. */
import { lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeHomeFolder, whyRefused } from '../config/home-folder.js';
import { TwinkleError } from '../errors.js';
import { makeFolders } from '../util/make-folders.js';
import { ownName } from './adapters-folder.js';

const ELSEWHERE = 'twinkle-spill-';

/** `<home>/spill`: folders, or links to folders elsewhere, of heads that run, or ran. */
export function spillRoot(home: string): string {
  return join(home, 'spill');
}

/**
 * Make the folder of a head of this process, 0700.
 * @param parent where it lies; null: in the home
 * @throws `CONFIG_INVALID` when it cannot be made
 */
export function makeSpillFolder(home: string, instance: string, parent: string | null): string {
  if (parent === null) return makeHomeFolder(home, 'spill', ownName(instance));
  const path = join(parent, `${ELSEWHERE}${instance}`);
  const link = join(makeHomeFolder(home, 'spill'), ownName(instance));
  try {
    makeFolders(parent);
    // First the link: a head that is killed between the two leaves nothing that nobody finds.
    symlinkSync(path, link);
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    rmSync(link, { force: true });
    throw new TwinkleError(
      'CONFIG_INVALID',
      `cannot make a folder in ${parent}: ${whyRefused(error)}; give another one with --object-spill-dir`,
      { cause: error },
    );
  }
  return path;
}

/** Remove the folder of a head, with what is in it. @param entry of {@link spillRoot} */
export function removeSpillFolder(entry: string): void {
  if (lstatSync(entry, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
    const target = readlinkSync(entry);
    // A link that is not ours leads to what is not ours.
    if (basename(target) === `${ELSEWHERE}${basename(entry).split('-').at(-1)}`)
      rmSync(target, { recursive: true, force: true });
  }
  rmSync(entry, { recursive: true, force: true });
}
