/** Where the standalone head of a home folder listens. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { LONGEST_SOCKET, temporaryFolder } from './temporary-folder.js';

const SOCKET = 'peers';

/**
 * The same at every start, so that clients find a restarted head. A home too deep gets a folder under the system's temporary one.
 * @throws `CONFIG_INVALID` when that cannot be had
 */
export function headAddress(home: string): string {
  const path = join(home, 'head', SOCKET);
  if (Buffer.byteLength(path) <= LONGEST_SOCKET) return `ipc://${path}`;
  const name = createHash('sha256').update(home).digest('hex').slice(0, 16);
  return `ipc://${join(temporaryFolder(name, LONGEST_SOCKET - SOCKET.length - 1), SOCKET)}`;
}
