/** The files by which `status`, `logs` and `stop` find running heads. A file whose process is gone, or whose pid is another's now, is stale. */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeHomeFolder } from '../config/home-folder.js';
import { processStat } from '../util/proc-stat.js';
import type { InstanceFile } from './types.js';

/** A file as found. */
export interface FoundInstance {
  readonly file: InstanceFile;
  readonly path: string;
  /** False: its process is gone. */
  readonly alive: boolean;
}

const INSTANCES = 'instances';

/** `<home>/instances`. */
export function instancesFolder(home: string): string {
  return join(home, INSTANCES);
}

/** Write or replace the file of an instance, at once and readable by its user only. Returns its path. */
export function writeInstance(home: string, file: InstanceFile): string {
  const path = join(makeHomeFolder(home, INSTANCES), `${file.instance}.json`);
  const draft = `${path}.${process.pid}.draft`;
  writeFileSync(draft, `${JSON.stringify(file, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path);
  return path;
}

/** The file of this process's instance: pid and start time filled in. */
export function describeInstance(facts: Omit<InstanceFile, 'pid' | 'pidStart'>): InstanceFile {
  return { ...facts, pid: process.pid, pidStart: processStat(process.pid)?.start ?? '' };
}

/** All instances of a home folder, oldest first, stale ones included. Files that are none are left out. */
export function listInstances(home: string): FoundInstance[] {
  let names: string[];
  try {
    names = readdirSync(instancesFolder(home));
  } catch {
    return [];
  }
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => readInstance(join(instancesFolder(home), name)))
    .filter((found) => found !== null)
    .sort((a, b) => a.file.startedAt - b.file.startedAt);
}

/** The head of that home folder; null: none runs. */
export function runningHead(home: string): InstanceFile | null {
  return listInstances(home).find(({ alive, file }) => alive && file.kind === 'head')?.file ?? null;
}

/** The agent of that home folder; null: none runs. */
export function runningAgent(home: string): InstanceFile | null {
  return listInstances(home).find(({ alive, file }) => alive && file.kind === 'agent')?.file ?? null;
}

/** One file; null when it is gone or is no instance file. */
export function readInstance(path: string): FoundInstance | null {
  try {
    const file = JSON.parse(readFileSync(path, 'utf8')) as Partial<InstanceFile>;
    if (typeof file.instance !== 'string' || typeof file.pid !== 'number' || typeof file.pidStart !== 'string')
      return null;
    if (typeof file.startedAt !== 'number' || typeof file.logs !== 'string' || typeof file.adminSocket !== 'string')
      return null;
    // Instances that were started before there were heads name no kind.
    const kind = file.kind === 'head' || file.kind === 'agent' ? file.kind : 'serve';
    const found: InstanceFile = {
      ...(file as InstanceFile),
      kind,
      url: file.url ?? null,
      address: file.address ?? null,
    };
    return { file: found, path, alive: isSameProcess(found) };
  } catch {
    return null;
  }
}

/** Whether the process that wrote the file still runs: the pid alone may be another's by now. */
export function isSameProcess(file: Pick<InstanceFile, 'pid' | 'pidStart'>): boolean {
  const stat = processStat(file.pid);
  return stat !== null && stat.start === file.pidStart && stat.state !== 'Z' && stat.state !== 'X';
}

/** Remove the file of an instance; fine when it is gone. */
export function removeInstance(home: string, instance: string): void {
  rmSync(join(instancesFolder(home), `${instance}.json`), { force: true });
}
