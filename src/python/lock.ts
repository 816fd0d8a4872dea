/**
 * One builder at a time for one environment, across processes. The lock only saves double work: an environment appears by an atomic
 * rename, so nothing breaks when two builders run after all (another container with the same cache, a lost race for a stale lock).
 */
import { linkSync, readFileSync, renameSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname } from 'node:path';
import { processStat } from '../util/proc-stat.js';

/** Who holds a lock or owns a draft folder. */
export interface Owner {
  readonly host: string;
  readonly pid: number;
  /** Start time of the process in ticks since boot. */
  readonly start: string;
}

/** A foreign host's lock cannot be checked; it counts as left behind after this time. */
const FOREIGN_STALE_MS = 2 * 60 * 60 * 1000;
/** The end of a lock's owner is no file event: look again after this time. */
const RECHECK_MS = 1000;

/** Field 22 of /proc/<pid>/stat; null when there is no such process (or only its zombie). */
export function startTime(pid: number): string | null {
  const stat = processStat(pid);
  return stat === null || stat.state === 'Z' || stat.state === 'X' ? null : stat.start;
}

/** This process as an owner. */
export function thisOwner(): Owner {
  return { host: hostname(), pid: process.pid, start: startTime(process.pid) ?? '0' };
}

/** Whether the owner lives still, as far as this host can know; `ageMs` is the age of what it left. */
export function isAlive(owner: Owner, ageMs: number): boolean {
  if (owner.host !== hostname()) return ageMs < FOREIGN_STALE_MS;
  return startTime(owner.pid) === owner.start;
}

/**
 * Take the lock, waiting for its holder.
 * @param onWait called once, with the holder's pid, when somebody else has it
 * @returns how to release it
 */
export async function acquireLock(
  path: string,
  onWait: (pid: number) => void,
  signal?: AbortSignal,
): Promise<() => void> {
  const mine = JSON.stringify(thisOwner());
  let told = false;
  for (;;) {
    signal?.throwIfAborted();
    const held = readLock(path);
    if (held === null) {
      if (tryCreate(path, mine)) return () => releaseLock(path, mine);
      continue;
    }
    if (!isAlive(held.owner, held.ageMs)) {
      removeStale(path, held.text);
      continue;
    }
    if (!told) onWait(held.owner.pid);
    told = true;
    await changed(path, signal);
  }
}

function tryCreate(path: string, text: string): boolean {
  const draft = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(draft, text);
  try {
    // A link makes the whole content appear at once, and fails when the name is taken.
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function readLock(path: string): { owner: Owner; text: string; ageMs: number } | null {
  try {
    const text = readFileSync(path, 'utf8');
    const ageMs = Date.now() - statSync(path).mtimeMs;
    return { owner: parseOwner(text), text, ageMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A file of unknown content belongs to nobody that lives. */
function parseOwner(text: string): Owner {
  try {
    const { host, pid, start } = JSON.parse(text) as Partial<Owner>;
    if (typeof host === 'string' && typeof pid === 'number' && typeof start === 'string') return { host, pid, start };
  } catch {
    // Falls through.
  }
  return { host: hostname(), pid: -1, start: '' };
}

/** Take the name away first and look what it was: of two that see the same stale lock, one succeeds. */
function removeStale(path: string, text: string): void {
  const aside = `${path}.stale.${process.pid}`;
  try {
    renameSync(path, aside);
    if (readFileSync(aside, 'utf8') !== text) linkSync(aside, path);
  } catch (error) {
    if (!['ENOENT', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function releaseLock(path: string, mine: string): void {
  if (readLock(path)?.text === mine) rmSync(path, { force: true });
}

/** Resolves when the lock's file changes, or after a while; rejects when the signal aborts. */
function changed(path: string, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const name = basename(path);
    const watcher = watch(dirname(path), (_, file) => {
      if (file === name) done();
    });
    const done = (): void => {
      clearTimeout(timer);
      watcher.close();
      signal?.removeEventListener('abort', done);
      if (signal?.aborted === true) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(done, RECHECK_MS);
    watcher.on('error', done);
    signal?.addEventListener('abort', done, { once: true });
    if (signal?.aborted === true) done();
  });
}
