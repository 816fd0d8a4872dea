/** Homes of heads that live in a program: folders under the system's temporary one, whose names say whose they are. One of a program that was killed goes when the next starts. */
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyRefused } from '../config/home-folder.js';
import { TwinkleError } from '../errors.js';
import { isAbandoned, ownName } from './adapters-folder.js';
import { isRefused } from './stale-socket.js';

const PREFIX = 'twinkle-';
/** A head makes its folders a moment before its sockets. */
const YOUNG_MS = 60_000;

/** Make one for a head of this process, 0700. Throws `CONFIG_INVALID`. */
export function makeTemporaryHome(): string {
  // Short: paths of sockets begin with it.
  const path = join(tmpdir(), PREFIX + ownName(randomBytes(2).toString('hex')));
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    throw new TwinkleError(
      'CONFIG_INVALID',
      `cannot make ${path}: ${whyRefused(error)}; give \`home\`, or another TMPDIR`,
      {
        cause: error,
      },
    );
  }
  return path;
}

/** Remove those of programs that are gone. Never throws: a start must not fail for the sake of tidiness. */
export async function sweepTemporaryHomes(): Promise<void> {
  for (const name of entries(tmpdir())) {
    if (!name.startsWith(PREFIX) || !isAbandoned(name.slice(PREFIX.length))) continue;
    try {
      const path = join(tmpdir(), name);
      const facts = lstatSync(path);
      if (!facts.isDirectory() || facts.uid !== process.getuid?.()) continue;
      if (await isUnused(path, facts.mtimeMs)) rmSync(path, { recursive: true, force: true });
    } catch {
      // somebody else tidies at the same time
    }
  }
}

/** Where containers share the temporary folder, a pid that is not here may be there: what is listened on is in use. */
async function isUnused(home: string, changedMs: number): Promise<boolean> {
  const run = join(home, 'run');
  const sockets = entries(run).flatMap((instance) =>
    entries(join(run, instance))
      .filter((name) => name.endsWith('.sock'))
      .map((name) => join(run, instance, name)),
  );
  for (const path of sockets) if (!(await isRefused(path))) return false;
  return sockets.length > 0 || Date.now() - changedMs > YOUNG_MS;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
