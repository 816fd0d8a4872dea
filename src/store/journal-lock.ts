/**
 * One process at a time for one journal. The lock is a listening socket in Linux's abstract namespace, named after the folder's inode: the
 * kernel gives it to one process only and takes it back when that one ends, however it ends. Such names end at a network namespace, so a
 * note beside the file says who holds it, and is believed when that process lives.
 */
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { TwinkleError } from '../errors.js';
import { processStat } from '../util/proc-stat.js';

interface Holder {
  readonly host: string;
  readonly pid: number;
  /** Start time in ticks since boot. */
  readonly start: string;
}

/**
 * Take the lock for the file at `path`, whose folder exists.
 * @returns how to let it go
 * @throws `JOURNAL_IN_USE` with the pid of who has it
 */
export async function lockJournal(path: string): Promise<() => Promise<void>> {
  const note = `${path}.lock`;
  const server = await listen(socketName(path), () => inUse(path, readNote(note)));
  const release = (): Promise<void> => new Promise((resolve) => server.close(() => resolve()));
  try {
    const holder = readNote(note);
    if (holder !== null && holder.pid !== process.pid && lives(holder)) throw inUse(path, holder);
    const start = processStat(process.pid)?.start ?? '';
    const mine: Holder = { host: hostname(), pid: process.pid, start };
    writeFileSync(note, JSON.stringify(mine), { mode: 0o600 });
  } catch (error) {
    await release();
    throw error;
  }
  return async () => {
    rmSync(note, { force: true });
    await release();
  };
}

/** Whole length of sun_path: versions of libuv differ in whether they pad shorter names, and must mean the same one. */
const NAME_LENGTH = 108;

function socketName(path: string): string {
  const { dev, ino } = statSync(dirname(path), { bigint: true });
  const digest = createHash('sha256')
    .update(`${dev} ${ino} ${path.slice(dirname(path).length)}`)
    .digest('hex');
  return `\0twinkle-node-journal-${digest}`.padEnd(NAME_LENGTH, '-');
}

function listen(name: string, taken: () => TwinkleError): Promise<Server> {
  const server = createServer((socket) => socket.destroy());
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE' ? taken() : error));
    // `exclusive`: a worker of node:cluster must not ask its primary for it.
    server.listen({ path: name, exclusive: true }, () => resolve(server));
  });
}

function lives({ host, pid, start }: Holder): boolean {
  const stat = host === hostname() ? processStat(pid) : null;
  return stat !== null && stat.start === start && stat.state !== 'Z' && stat.state !== 'X';
}

function readNote(note: string): Holder | null {
  try {
    return JSON.parse(readFileSync(note, 'utf8')) as Holder;
  } catch {
    // None, or one that is being written.
    return null;
  }
}

function inUse(path: string, holder: Holder | null): TwinkleError {
  const who = holder === null ? 'another process' : `process ${holder.pid} on ${holder.host}`;
  const text = `the journal \`${path}\` is open in ${who}: only one may write it; end that one, or use another folder`;
  return new TwinkleError('JOURNAL_IN_USE', text, { details: { path, pid: holder?.pid ?? null } });
}
