/** Reads the ends of log files and, when asked, goes on as they grow. Woken by the file system, never by a clock. */
import { closeSync, type FSWatcher, fstatSync, openSync, readdirSync, readSync, watch } from 'node:fs';
import { join } from 'node:path';

const CHUNK_BYTES = 256 * 1024;

/** Told every line with the file's name. */
export type LineSink = (file: string, line: string) => void;

/** Log files of one folder, followed from their ends. */
export class LogFollower {
  readonly #folder: string;
  readonly #accepts: (file: string) => boolean;
  readonly #sink: LineSink;
  readonly #offsets = new Map<string, { inode: number; offset: number; partial: Buffer }>();
  #watcher: FSWatcher | null = null;

  constructor(folder: string, accepts: (file: string) => boolean, sink: LineSink) {
    this.#folder = folder;
    this.#accepts = accepts;
    this.#sink = sink;
  }

  /** Names of the accepted files, sorted. */
  files(): string[] {
    return readdirSync(this.#folder).filter(this.#accepts).sort();
  }

  /** The last `lines` lines of every file; following goes on from there. `final`: nothing follows, so an unended line counts. */
  tail(lines: number, final: boolean): void {
    for (const file of this.files()) {
      const kept: string[] = [];
      this.#read(file, (_, line) => {
        kept.push(line);
        if (kept.length > lines) kept.shift();
      });
      const unended = this.#offsets.get(file)?.partial;
      if (final && unended !== undefined && unended.length > 0) kept.push(unended.toString('utf8'));
      for (const line of kept.slice(-lines)) this.#sink(file, line);
    }
  }

  /** Report lines as they come, until the returned function is called. */
  follow(): () => void {
    this.#watcher = watch(this.#folder, () => this.#all());
    // What was written between the tail and the watch.
    this.#all();
    return () => this.#watcher?.close();
  }

  #all(): void {
    for (const file of this.files()) this.#read(file, this.#sink);
  }

  #read(file: string, sink: LineSink): void {
    let fd: number;
    try {
      fd = openSync(join(this.#folder, file), 'r');
    } catch {
      return;
    }
    try {
      const { ino, size } = fstatSync(fd);
      const known = this.#offsets.get(file);
      // Another file of that name, or a shorter one: it was rotated.
      const fresh = known === undefined || known.inode !== ino || size < known.offset;
      let { offset, partial } = fresh ? { offset: 0, partial: Buffer.alloc(0) } : known;
      const buffer = Buffer.alloc(CHUNK_BYTES);
      for (
        let read = readSync(fd, buffer, 0, CHUNK_BYTES, offset);
        read > 0;
        read = readSync(fd, buffer, 0, CHUNK_BYTES, offset)
      ) {
        offset += read;
        partial = emitLines(Buffer.concat([partial, buffer.subarray(0, read)]), (line) => sink(file, line));
      }
      this.#offsets.set(file, { inode: ino, offset, partial });
    } finally {
      closeSync(fd);
    }
  }
}

/** Reports whole lines and returns the rest; bytes are cut at line feeds only, so no character is torn. */
function emitLines(bytes: Buffer, sink: (line: string) => void): Buffer {
  let start = 0;
  for (let end = bytes.indexOf(10, start); end >= 0; end = bytes.indexOf(10, start)) {
    sink(bytes.subarray(start, end).toString('utf8'));
    start = end + 1;
  }
  return bytes.subarray(start);
}
