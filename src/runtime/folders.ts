/** Where a head keeps what: `<home>/{instances,incidents,logs,run,code}`; everything 0700. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { makeHomeFolder } from '../config/home-folder.js';
import { codeFolder } from './code-folder.js';
import { LONGEST_SOCKET, temporaryFolder } from './temporary-folder.js';

/** File names of sockets take up to 12 bytes, with the slash. */
const LONGEST_SOCKET_FOLDER = LONGEST_SOCKET - 12;

export interface Folders {
  readonly logs: string;
  readonly incidents: string;
  /** Sockets: short-lived, removed by `remove`. */
  readonly sockets: string;
  /** Folders that programs put here; not made here. */
  readonly code: string;
  remove(): void;
}

/**
 * Make the folders of an instance. A home too deep for socket paths gets its socket folder under the system's temporary one.
 * @throws `CONFIG_INVALID` when one cannot be made
 */
export function makeFolders(home: string, instance: string): Folders {
  const fits = Buffer.byteLength(join(home, 'run', instance)) <= LONGEST_SOCKET_FOLDER;
  const logs = makeHomeFolder(home, 'logs', instance);
  const incidents = makeHomeFolder(home, 'incidents');
  const sockets = fits ? makeHomeFolder(home, 'run', instance) : temporaryFolder(null, LONGEST_SOCKET_FOLDER);
  return {
    logs,
    incidents,
    sockets,
    code: codeFolder(home, instance),
    remove: () => rmSync(sockets, { recursive: true, force: true }),
  };
}
