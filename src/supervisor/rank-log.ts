/** Log files of ranks: a rank writes to its own file by itself; Node only opens it and reads its end. */
import { closeSync, fstatSync, mkdirSync, openSync, readSync, renameSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

/** A file that has grown beyond this is moved to `<file>.1` when its rank starts again. */
const ROTATE_BYTES = 64 * 1024 * 1024;

/** How the line begins with which each start of a rank begins. */
export const HEADLINE = '==== ';

/** Open for appending (rank start): rotates, writes a line that says which start this is. The caller closes the descriptor. */
export function openRankLog(path: string, headline: string): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > ROTATE_BYTES) renameSync(path, `${path}.1`);
  const fd = openSync(path, 'a', 0o600);
  try {
    writeSync(fd, `${HEADLINE}${headline}\n`);
  } catch {
    // A full disk must not keep a rank from being started.
  }
  return fd;
}

/** The last `lines` lines, reading at most `maxBytes` from the end. A file that is not there, or cannot be read, has none. */
export function tailLog(path: string, lines: number, maxBytes = 256 * 1024): string[] {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return [];
  }
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(0, size - maxBytes);
    const buffer = Buffer.alloc(size - from);
    const read = readSync(fd, buffer, 0, buffer.length, from);
    const all = buffer.subarray(0, read).toString('utf8').split('\n');
    if (all.at(-1) === '') all.pop();
    return all.slice(-lines);
  } catch {
    return [];
  } finally {
    closeSync(fd);
  }
}
