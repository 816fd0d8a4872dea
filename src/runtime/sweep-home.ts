/** Tidies a home folder at a start: what killed heads left behind, and logs and incidents beyond what anybody reads. */
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { adaptersRoot, isAbandoned } from './adapters-folder.js';
import { codeRoot } from './code-folder.js';
import { listInstances, removeInstance } from './instance-file.js';
import { removeSpillFolder, spillRoot } from './spill-folder.js';
import { isRefused } from './stale-socket.js';

const KEPT_LOGS = 20;
const KEPT_INCIDENTS = 200;

/** Never throws: a start must not fail for the sake of tidiness. */
export async function sweepHome(home: string): Promise<void> {
  try {
    const instances = listInstances(home);
    for (const { alive, file } of instances) if (!alive) removeInstance(home, file.instance);
    const living = new Set(instances.filter(({ alive }) => alive).map(({ file }) => file.instance));
    // A head without HTTP has no instance file; whether it lives, its ranks' socket tells.
    const sockets = entries(join(home, 'run')).filter(({ name }) => !living.has(name));
    for (const { path, name } of sockets) {
      if (await isDead(path)) rmSync(path, { recursive: true, force: true });
      else living.add(name);
    }
    const logs = entries(join(home, 'logs')).filter(({ name }) => !living.has(name));
    for (const { path } of [...logs.slice(KEPT_LOGS), ...entries(join(home, 'incidents')).slice(KEPT_INCIDENTS)]) {
      rmSync(path, { recursive: true, force: true });
    }
    for (const { name, path } of [...entries(adaptersRoot(home)), ...entries(codeRoot(home))]) {
      if (isAbandoned(name)) rmSync(path, { recursive: true, force: true });
    }
    for (const { name, path } of entries(spillRoot(home))) if (isAbandoned(name)) removeSpillFolder(path);
  } catch {
    // somebody else tidies at the same time, or the folder is read-only: the start itself will say what matters
  }
}

/** A start makes its folder a moment before its sockets. */
const YOUNG_MS = 60_000;

/** Whether nobody listens in the socket folder of an instance. A standalone head has no ranks; a killed one leaves what it has. */
export async function isDead(folder: string): Promise<boolean> {
  const sockets = ['ranks', 'admin.sock'].map((name) => join(folder, name)).filter((path) => existsSync(path));
  for (const path of sockets) if (!(await isRefused(path))) return false;
  return sockets.length > 0 || Date.now() - statSync(folder).mtimeMs > YOUNG_MS;
}

/** What a folder holds, newest first; nothing when it is not there. */
function entries(folder: string): { readonly name: string; readonly path: string }[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names
    .map((name) => ({ name, path: join(folder, name) }))
    .map((entry) => ({ ...entry, at: statSync(entry.path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.at - a.at);
}
