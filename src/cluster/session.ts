/** Sessions of client processes: an id that names the process for certain, so that a head, also a restarted one, can see whether it lives. */

/** A process that holds a session. */
export interface SessionProcess {
  readonly pid: number;
  /** Field 22 of /proc/<pid>/stat: tells a reused pid. */
  readonly pidStart: string;
}

/** `<pid>.<start>.<random>`. */
export function sessionId(process: SessionProcess, random: string): string {
  return `${process.pid}.${process.pidStart}.${random}`;
}

/** Whose session it is; null for what is no session id. */
export function sessionProcess(session: string): SessionProcess | null {
  const [, pid, pidStart] = /^(\d+)\.(\d+)\.[0-9a-f]+$/.exec(session) ?? [];
  return pid === undefined || pidStart === undefined ? null : { pid: Number(pid), pidStart };
}
