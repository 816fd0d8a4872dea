/** Where fetched adapters lie: a folder for each server, whose name says whose it is, so that those of dead servers can be told. */
import { join } from 'node:path';
import { processStat } from '../util/proc-stat.js';
import { isSameProcess } from './instance-file.js';

/** `<home>/adapters`: what is in it belongs to servers that run, or ran. */
export function adaptersRoot(home: string): string {
  return join(home, 'adapters');
}

/** The folder of an instance of this process. Not made here: most servers fetch nothing. */
export function adaptersFolder(home: string, instance: string): string {
  return join(adaptersRoot(home), ownName(instance));
}

/** Name of a folder of an instance of this process. */
export function ownName(instance: string): string {
  return `${process.pid}-${processStat(process.pid)?.start ?? ''}-${instance}`;
}

/** Whether the server whose folder has that name is gone. False for what has no such name: it is not ours. */
export function isAbandoned(name: string): boolean {
  const [, pid, pidStart] = /^(\d+)-(\d*)-[0-9a-f]+$/.exec(name) ?? [];
  return pid !== undefined && pidStart !== undefined && !isSameProcess({ pid: Number(pid), pidStart });
}
