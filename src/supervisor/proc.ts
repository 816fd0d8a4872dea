/** What /proc says of running processes. Reads only; a process that ends meanwhile is skipped. */
import { readdirSync, readFileSync } from 'node:fs';

/** One line of /proc/<pid>/stat, as far as we need it. */
export interface ProcStat {
  readonly pid: number;
  readonly state: string;
  readonly ppid: number;
  readonly group: number;
  /** Start time in clock ticks since boot: with the pid, it names a process for certain. */
  readonly start: string;
}

/** Parse /proc/<pid>/stat. The command name may contain anything, so fields count from the last `)`. */
export function parseStat(text: string): ProcStat | null {
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  const [state, ppid, group] = fields;
  const start = fields[19];
  if (close < 0 || state === undefined || ppid === undefined || group === undefined || start === undefined) return null;
  return { pid: Number.parseInt(text, 10), state, ppid: Number(ppid), group: Number(group), start };
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

/** The stat of one process; null when it is gone. */
export function processStat(pid: number): ProcStat | null {
  const text = read(`/proc/${pid}/stat`);
  return text === null ? null : parseStat(text);
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
