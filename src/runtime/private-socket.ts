/** A unix socket that is its user's alone from its first moment: bound inside a 0700 folder, restricted, and then moved into place. */
import { chmodSync, existsSync, linkSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Listen at `path` with mode 0600. The one who calls removes the file at the end: Node unlinks only the path that it bound.
 * @throws EADDRINUSE when something is there already, and what `listen` throws
 */
export async function listenPrivately(path: string, listen: (path: string) => Promise<unknown>): Promise<void> {
  if (existsSync(path)) throw Object.assign(new Error(`${path} exists`), { code: 'EADDRINUSE' });
  const folder = mkdtempSync(join(dirname(path), '.t-'));
  try {
    const draft = join(folder, 's');
    await listen(draft);
    chmodSync(draft, 0o600);
    linkSync(draft, path); // unlike a rename, it never replaces what somebody else put there
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
