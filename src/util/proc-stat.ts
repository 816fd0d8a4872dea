/** What the kernel says of one process in /proc/<pid>/stat. */
import { readFileSync } from 'node:fs';

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

/** The stat of one process; null when it is gone. */
export function processStat(pid: number): ProcStat | null {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return null;
  }
}
