/** Where a head keeps what: `<home>/{instances,incidents,logs,run}`; everything 0700. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** sun_path has 108 bytes with its terminator; file names below take up to 12. */
const LONGEST_SOCKET_FOLDER = 107 - 12;

export interface Folders {
  readonly logs: string;
  readonly incidents: string;
  /** Sockets: short-lived, removed by `remove`. */
  readonly sockets: string;
  remove(): void;
}

/** Make the folders of an instance. A home too deep for socket paths gets its socket folder under the system's temporary one. */
export function makeFolders(home: string, instance: string): Folders {
  const make = (...parts: string[]): string => {
    const path = join(home, ...parts);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  };
  const fits = Buffer.byteLength(join(home, 'run', instance)) <= LONGEST_SOCKET_FOLDER;
  const sockets = fits ? make('run', instance) : mkdtempSync(join(tmpdir(), 'twinkle-'));
  return {
    logs: make('logs', instance),
    incidents: make('incidents'),
    sockets,
    remove: () => rmSync(sockets, { recursive: true, force: true }),
  };
}
