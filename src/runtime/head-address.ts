/** Where the standalone head of a home folder listens. */
import { createHash } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TwinkleError } from '../errors.js';

/** sun_path has 108 bytes with its terminator. */
const LONGEST_SOCKET = 107;

/** The same at every start, so that clients find a restarted head. A home too deep gets a folder under the system's temporary one. */
export function headAddress(home: string): string {
  const path = join(home, 'head', 'peers');
  if (Buffer.byteLength(path) <= LONGEST_SOCKET) return `ipc://${path}`;
  const folder = join(tmpdir(), `twinkle-${createHash('sha256').update(home).digest('hex').slice(0, 16)}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { uid, mode } = statSync(folder);
  if (uid !== process.getuid?.() || (mode & 0o077) !== 0) {
    throw new TwinkleError('CONFIG_INVALID', `${folder} is not this user's alone: set TWINKLE_HOME to a shorter path`);
  }
  return `ipc://${join(folder, 'peers')}`;
}
