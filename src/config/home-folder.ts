/** Makes folders in the home folder, and says in words what is wrong with a place that cannot be one. Knows nothing of what lies in them. */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { makeFolders } from '../util/make-folders.js';

/** What the system's words mean of a folder. */
const WHY: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'its file system is read-only',
  ENOENT: 'the system makes no folder there',
  ENOTDIR: 'a part of that path is a file',
  EEXIST: 'it is there and no folder',
  EISDIR: 'a folder is where a file should be',
  ENAMETOOLONG: 'the path is too long',
  ELOOP: 'its links lead in a circle',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the quota of the disk is used up',
  ERR_INVALID_ARG_VALUE: 'the path has a NUL in it',
};

const SHOWN_LETTERS = 200;

/**
 * `<home>/<parts>`: made with mode 0700 if need be, also what is above it, and writable.
 * @throws `CONFIG_INVALID`
 */
export function makeHomeFolder(home: string, ...parts: readonly string[]): string {
  const path = join(home, ...parts);
  try {
    makeFolders(path);
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (error) {
    const { path: at = path } = error as NodeJS.ErrnoException;
    throw unusable(home, at, error);
  }
  return path;
}

/** What the system refuses in a home folder as `CONFIG_INVALID`; any other error as it is. */
export function homeError(home: string, error: unknown): unknown {
  const { code, path } = error as { readonly code?: unknown; readonly path?: unknown };
  if (error instanceof TwinkleError || typeof path !== 'string' || !Object.hasOwn(WHY, String(code))) return error;
  return path === home || path.startsWith(join(home, '/')) ? unusable(home, path, error) : error;
}

/** Why the system refused, in words; its own where it has others. */
export function whyRefused(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  return WHY[String(code)] ?? String(message ?? error);
}

function unusable(home: string, path: string, error: unknown): TwinkleError {
  const where = path === home ? '' : `${shown(path)}: `;
  return new TwinkleError(
    'CONFIG_INVALID',
    `cannot use ${shown(home)} as the home folder: ${where}${whyRefused(error)}; give another one with --home or TWINKLE_HOME`,
    { cause: error },
  );
}

/** A path in a message: short, and without what a terminal would act on. */
function shown(path: string): string {
  const short = path.length > SHOWN_LETTERS ? `${path.slice(0, SHOWN_LETTERS)}…` : path;
  return /\p{Cc}/u.test(short) ? JSON.stringify(short) : short;
}
