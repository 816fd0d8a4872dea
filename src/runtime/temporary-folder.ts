/** Folders for sockets under the system's temporary one, where the home folder has too long a path for them. */
import { existsSync, lstatSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyRefused } from '../config/home-folder.js';
import { TwinkleError } from '../errors.js';

/** Bytes of a socket's path: sun_path has 108 with its terminator. */
export const LONGEST_SOCKET = 107;

/**
 * A folder of this user alone.
 * @param name the same at every call gives the same folder; null: a new one
 * @param longest bytes that its path may have
 * @throws `CONFIG_INVALID`
 */
export function temporaryFolder(name: string | null, longest: number): string {
  const root = tmpdir();
  const path = join(root, `twinkle-${name ?? 'XXXXXX'}`);
  const bytes = Buffer.byteLength(path);
  if (bytes > longest) throw unusable(root, `its path is too long as well (${bytes} bytes of at most ${longest})`);
  try {
    if (name === null) return mkdtempSync(join(root, 'twinkle-'));
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const again = name !== null && (error as NodeJS.ErrnoException).code === 'EEXIST';
    if (!again) throw unusable(root, existsSync(root) ? whyRefused(error) : 'there is no such folder', error);
  }
  const { uid, mode } = lstatSync(path);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) throw unusable(root, `${path} is not this user's alone`);
  return path;
}

function unusable(root: string, why: string, cause?: unknown): TwinkleError {
  return new TwinkleError(
    'CONFIG_INVALID',
    `the path of the home folder is too long for sockets, and ${root} cannot have them: ${why}; give a shorter home with --home or TWINKLE_HOME, or another TMPDIR`,
    { cause },
  );
}
