/** Homes of heads that live in a program: folders under the system's temporary one, whose names say whose they are. One of a program that was killed goes when the next starts. */
import { randomBytes } from 'node:crypto';
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whyRefused } from '../config/home-folder.js';
import { TwinkleError } from '../errors.js';
import { isAbandoned, ownName } from './adapters-folder.js';
import { isDead } from './sweep-home.js';

const PREFIX = 'twinkle-';

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
      if (await isUnused(path)) rmSync(path, { recursive: true, force: true });
    } catch {
      // somebody else tidies at the same time
    }
  }
}

/** Where containers share the temporary folder, a pid that is not here may be there: what is listened on is in use. */
async function isUnused(home: string): Promise<boolean> {
  const instances = entries(join(home, 'run')).map((instance) => join(home, 'run', instance));
  for (const folder of instances.length > 0 ? instances : [home]) if (!(await isDead(folder))) return false;
  return true;
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
