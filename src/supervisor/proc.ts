/** What /proc says of running processes. Reads only; a process that ends meanwhile is skipped. */
import { readdirSync, readFileSync } from 'node:fs';
import { type ProcStat, processStat } from '../util/proc-stat.js';

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** Pids of all processes now. */
export function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Living (not zombie) members of any of the process groups. */
export function groupMembers(groups: ReadonlySet<number>): ProcStat[] {
  return allPids()
    .map(processStat)
    .filter((stat) => stat !== null)
    .filter((stat) => groups.has(stat.group) && stat.state !== 'Z' && stat.state !== 'X');
}

/** Living processes whose environment has `name=value`; other users' processes cannot be read and are skipped. */
export function processesWithEnv(name: string, value: string): number[] {
  return processesWithAll([`${name}=${value}`]);
}

/** Living processes whose environment has all these `name=value` entries. */
export function processesWithAll(entries: readonly string[]): number[] {
  return allPids().filter((pid) => {
    const environment = read(`/proc/${pid}/environ`)?.split('\0');
    return environment !== undefined && entries.every((entry) => environment.includes(entry));
  });
}
