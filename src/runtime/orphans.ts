/** Ranks that outlived their head: processes marked with `TWINKLE_INSTANCE` of an instance that no longer runs. Reads /proc only. */
import { readFileSync } from 'node:fs';
import { allPids } from '../supervisor/proc.js';

/** A process of ours without an owner. */
export interface Orphan {
  readonly pid: number;
  readonly instance: string;
  /** Command line, shortened. */
  readonly command: string;
}

/**
 * Find them.
 * @param living ids of the instances that run
 */
export function findOrphans(living: ReadonlySet<string>): Orphan[] {
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return [];
    const instance = variable(pid, 'TWINKLE_INSTANCE');
    if (instance === null || living.has(instance)) return [];
    return [{ pid, instance, command: commandLine(pid) }];
  });
}

function variable(pid: number, name: string): string | null {
  const entry = read(`/proc/${pid}/environ`).find((text) => text.startsWith(`${name}=`));
  return entry === undefined ? null : entry.slice(name.length + 1);
}

function commandLine(pid: number): string {
  return read(`/proc/${pid}/cmdline`).join(' ').trim().slice(0, 80);
}

/** Parts of a zero-separated file; nothing for processes that ended or belong to others. */
function read(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\0');
  } catch {
    return [];
  }
}
