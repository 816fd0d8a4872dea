/** The report of a gang's failure: which rank was first, how it ended, what it said last. One JSON file an incident. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Failure } from './gang-machine.js';
import { HEADLINE, tailLog } from './rank-log.js';

const TAIL_LINES = 200;
const LAST_WORDS = 20;

/** How a rank ended, as far as known when the report was written. */
export interface RankEnd {
  readonly rank: number;
  /** As people call it: `rank 3`, `the engine process`. */
  readonly name: string;
  readonly pid: number;
  /** Null: a signal ended it, or nobody knows. */
  readonly code: number | null;
  readonly signal: number | null;
  readonly maxRssKb: number;
}

export interface Incident {
  readonly at: string;
  readonly instance: string;
  readonly gang: string;
  readonly epoch: number;
  readonly failure: Failure;
  /** The end of the first rank that failed; null when it still ran (a hang) or none is to blame. */
  readonly end: (RankEnd & { readonly signalName: string | null }) | null;
  readonly log: string | null;
  readonly tail: readonly string[];
}

/** What is kept of a failure in memory, for the error that may come of it. */
export interface IncidentReport {
  readonly epoch: number;
  readonly failure: Failure;
  /** File with the whole report; null: it could not be written. */
  readonly path: string | null;
  /** Log file of the rank to blame; null when none is. */
  readonly log: string | null;
  /** The last lines that the rank wrote in that start, 20 at most. */
  readonly lastWords: readonly string[];
}

/** `SIGKILL` for 9; null for null. */
export function signalName(signal: number | null): string | null {
  if (signal === null) return null;
  const known = Object.entries(constants.signals).find(([, value]) => value === signal);
  return known?.[0] ?? `signal ${signal}`;
}

/** What happened to a rank, for people. */
export function describeEnd(end: RankEnd): string {
  if (end.signal !== null) {
    const hint = end.signal === 9 ? ' (the kernel out of memory, or somebody’s kill -9)' : '';
    return `${end.name} (pid ${end.pid}) was ended by ${signalName(end.signal)}${hint}`;
  }
  if (end.code !== null) return `${end.name} (pid ${end.pid}) exited with code ${end.code}`;
  return `${end.name} (pid ${end.pid}) is gone; how it ended is not known`;
}

/** Write the report. Never throws: a full disk must not keep a gang from being restarted, and what is returned still tells. */
export function reportIncident(
  folder: string,
  facts: Omit<Incident, 'at' | 'tail' | 'end'> & { readonly end: RankEnd | null },
): IncidentReport {
  const { end, epoch, failure, log } = facts;
  const tail = log === null ? [] : tailLog(log, TAIL_LINES);
  const began = tail.findLastIndex((line) => line.startsWith(HEADLINE));
  const report = { epoch, failure, log, lastWords: tail.slice(began + 1).slice(-LAST_WORDS) };
  const at = new Date().toISOString();
  const incident: Incident = {
    at,
    ...facts,
    end: end === null ? null : { ...end, signalName: signalName(end.signal) },
    tail,
  };
  const path = join(folder, `${at.replaceAll(':', '')}-${facts.gang.replaceAll('/', '-')}-e${epoch}.json`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(path, `${JSON.stringify(incident, null, 2)}\n`, { mode: 0o600 });
  } catch {
    return { ...report, path: null };
  }
  return { ...report, path };
}
