/**
 * Draft folders of environments: made beside their place, moved there in one step when they are whole. A draft whose maker was killed is
 * removed by the next one.
 */
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, type Owner, thisOwner } from './lock.js';

const DRAFT = '.draft-';

/** Call with a new draft folder, which is removed afterwards with all that is still in it. */
export async function inDraft<T>(envs: string, make: (draft: string) => Promise<T>): Promise<T> {
  const draft = join(envs, `${DRAFT}${process.pid}-${Math.random().toString(36).slice(2, 10)}`);
  mkdirSync(draft, { mode: 0o700 });
  try {
    writeFileSync(join(draft, 'owner.json'), JSON.stringify(thisOwner()));
    return await make(draft);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Remove the drafts of makers that were killed. */
export async function removeAbandoned(envs: string): Promise<void> {
  for (const name of readdirSync(envs).filter((entry) => entry.startsWith(DRAFT))) {
    const folder = join(envs, name);
    const ageMs = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    const owner = readOwner(join(folder, 'owner.json'));
    // Without its owner's name a draft was killed in its first moment, or is in its first moment.
    if (owner === null ? ageMs > 60_000 : !isAlive(owner, ageMs)) await rm(folder, { recursive: true, force: true });
  }
}

/** Scripts and the venv's own notes name the draft folder: let them name the final place. */
export function relocateScripts(venv: string, place: string): void {
  const files = [join(venv, 'pyvenv.cfg'), ...readdirSync(join(venv, 'bin')).map((name) => join(venv, 'bin', name))];
  for (const file of files) {
    const stat = statSync(file, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile() || stat.size > 64 * 1024) continue;
    const text = readFileSync(file, 'latin1');
    if (text.includes(venv)) writeFileSync(file, text.replaceAll(venv, place), 'latin1');
  }
}

function readOwner(path: string): Owner | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Owner;
  } catch {
    return null;
  }
}
