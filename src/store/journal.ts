/**
 * An append-only file of JSON records that survives its process. Knows nothing of what the records mean.
 *
 * `kernel`: flushed means written to the kernel, so `kill -9` loses nothing; the disk has it within a second, so a power failure may cost
 * the last second. `disk`: flushed means on the disk, and those who wait at the same time share one sync.
 */
import { constants, ftruncateSync, writeSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { makeFolders } from '../util/make-folders.js';
import { encodeLines, type JournalContent, readJournal, syncFolder, toJson, writeLines } from './journal-file.js';
import { lockJournal } from './journal-lock.js';
import { Mutex } from './mutex.js';

export interface JournalOptions {
  /** Made with mode 0700 if need be. */
  readonly folder: string;
  /** The file is `<name>.journal`. */
  readonly name: string;
  readonly sync: 'kernel' | 'disk';
  /** Told every record that is there, in order, before the journal opens. */
  onRecord(record: unknown): void;
  /** Told what failed in the background, where no flush can say it: the sync of `kernel`, the flush at the end of a tick. */
  onError?(error: unknown): void;
}

/** Writes up to this size happen inside the call: a copy into the page cache is quicker than asking a thread for it. */
const INLINE_RECORDS = 256;
const INLINE_CHARS = 64 * 1024;
/** `kernel`: from the first unsynced write to the sync. */
const SYNC_DELAY_MS = 500;
const DONE = Promise.resolve();

/** Open with {@link openJournal}. */
export class Journal implements AsyncDisposable {
  readonly path: string;
  /** What was found when it was opened: `tornBytes` were cut off its end, usually 0. */
  readonly replayed: JournalContent;
  readonly #options: JournalOptions;
  readonly #unlock: () => Promise<void>;
  #file: FileHandle;
  readonly #fileTurn = new Mutex();
  #bytes: number;
  #records: number;
  /** JSON of what is not written yet. */
  #pending: string[] = [];
  /** Who waits for {@link #pending}. */
  #waiting: Deferred<void> | null = null;
  /** Who waits for what is being written. */
  #writing: Deferred<void> | null = null;
  #pumping = false;
  #compaction: Promise<void> | null = null;
  /** JSON of what was appended since a compaction read its records. */
  #since: string[] | null = null;
  #turn: NodeJS.Immediate | null = null;
  #syncTimer: NodeJS.Timeout | null = null;
  #syncing = false;
  #closed = false;

  constructor(
    options: JournalOptions,
    path: string,
    file: FileHandle,
    replayed: JournalContent,
    unlock: () => Promise<void>,
  ) {
    this.#options = options;
    this.path = path;
    this.#file = file;
    this.#unlock = unlock;
    this.#bytes = replayed.bytes;
    this.#records = replayed.records;
    this.replayed = replayed;
  }

  /** Bytes of the file, without what is not flushed. */
  get size(): number {
    return this.#bytes;
  }

  /** Records of the file, without what is not flushed. */
  get records(): number {
    return this.#records;
  }

  /** Whether everything appended is safe, as `sync` says. */
  get flushed(): boolean {
    return this.#pending.length === 0 && this.#writing === null;
  }

  /**
   * Collect a record; it is written by the next {@link flush}, or at the end of this tick. Later changes of the object do not matter.
   * @throws what `JSON.stringify` throws, INTERNAL for what JSON has no word for and when the journal is closed
   */
  append(record: unknown): void {
    if (this.#closed) throw new TwinkleError('INTERNAL', `the journal \`${this.path}\` is closed`);
    const json = toJson(record);
    this.#pending.push(json);
    this.#since?.push(json);
    this.#turn ??= setImmediate(() => {
      this.#turn = null;
      this.flush().catch((error: unknown) => this.#options.onError?.(error));
    });
  }

  /**
   * Resolves when everything appended before is safe, as `sync` says. When it rejects (a full disk) nothing is lost: the records wait, in
   * their order, and the next flush tries again.
   */
  flush(): Promise<void> {
    if (this.#pending.length === 0) return this.#writing?.promise ?? DONE;
    // Not beside a sync: on some file systems a write waits for it, and the whole process with it.
    const free = !this.#fileTurn.taken && !this.#pumping && !this.#syncing;
    if (this.#options.sync === 'kernel' && free && isSmall(this.#pending)) return this.#writeInline();
    this.#waiting ??= deferred<void>();
    const { promise } = this.#waiting;
    if (!this.#pumping) void this.#pump();
    return promise;
  }

  /**
   * Replace the content by `records`, which are read before this returns its promise and say everything appended so far. What is appended
   * meanwhile comes after them. Atomic: whoever opens the file finds the old content or the new.
   * @throws INTERNAL when a compaction is under way; the system's error, and then the old content stays
   */
  compact(records: Iterable<unknown>): Promise<void> {
    if (this.#compaction !== null || this.#closed) {
      const why = this.#closed ? 'is closed' : 'is being compacted already';
      return Promise.reject(new TwinkleError('INTERNAL', `the journal \`${this.path}\` ${why}`));
    }
    const lines = Array.from(records, toJson);
    this.#since = [];
    this.#compaction = this.#rewrite(lines).finally(() => {
      this.#compaction = null;
      this.#since = null;
    });
    return this.#compaction;
  }

  /** Flush, sync, let go of file and lock. Idempotent. Rejects when the last records could not be written. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#turn !== null) clearImmediate(this.#turn);
    if (this.#syncTimer !== null) clearTimeout(this.#syncTimer);
    try {
      await this.#compaction?.catch(() => {}); // its caller hears of it
      await this.flush();
      await this.#fileTurn.run(() => this.#file.datasync());
    } finally {
      await this.#file.close();
      await this.#unlock();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #writeInline(): Promise<void> {
    const bytes = Buffer.from(encodeLines(this.#records, this.#pending));
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#file.fd, bytes, done, bytes.length - done, this.#bytes + done);
      }
    } catch (error) {
      this.#cutTorn();
      return Promise.reject(error);
    }
    this.#advance(this.#bytes + bytes.length, this.#pending.length);
    this.#pending = [];
    // There is nothing left for it to do, and the event loop would not sleep before it has run.
    if (this.#turn !== null) clearImmediate(this.#turn);
    this.#turn = null;
    return DONE;
  }

  /** Batch after batch, as long as somebody waits. */
  async #pump(): Promise<void> {
    this.#pumping = true;
    await this.#fileTurn.run(async () => {
      for (let waiting = this.#waiting; waiting !== null; waiting = this.#waiting) {
        const batch = this.#pending;
        this.#pending = [];
        this.#waiting = null;
        this.#writing = waiting;
        try {
          const end = await writeLines(this.#file, this.#bytes, this.#records, batch);
          if (this.#options.sync === 'disk') await this.#file.datasync();
          this.#advance(end, batch.length);
          waiting.resolve();
        } catch (error) {
          this.#cutTorn();
          this.#pending = batch.concat(this.#pending);
          waiting.reject(error);
        }
        this.#writing = null;
      }
      // Here, not after: who comes between would wait for nobody.
      this.#pumping = false;
    });
  }

  async #rewrite(lines: readonly string[]): Promise<void> {
    const draft = draftOf(this.path);
    const file = await open(draft, 'w', 0o600);
    try {
      const end = await writeLines(file, 0, 0, lines);
      await file.sync();
      await this.#fileTurn.run(() => this.#switchTo(file, draft, end, lines.length));
    } catch (error) {
      await file.close();
      await rm(draft, { force: true });
      throw error;
    }
  }

  /** With the file to itself: what was appended meanwhile goes behind, written to the old file or not. */
  async #switchTo(file: FileHandle, draft: string, bytes: number, records: number): Promise<void> {
    const since = this.#since ?? [];
    const pending = this.#pending;
    this.#since = null;
    this.#pending = [];
    try {
      const end = await writeLines(file, bytes, records, since);
      if (since.length > 0) await file.datasync();
      await rename(draft, this.path);
      const old = this.#file;
      this.#file = file;
      this.#bytes = end;
      this.#records = records + since.length;
      await old.close().catch((error: unknown) => this.#options.onError?.(error));
    } catch (error) {
      this.#pending = pending.concat(this.#pending);
      throw error;
    }
    // Before anything is flushed to the new file: without this a power failure brings the old one back.
    await syncFolder(dirname(this.path)).catch((error: unknown) => this.#options.onError?.(error));
  }

  #advance(bytes: number, records: number): void {
    this.#bytes = bytes;
    this.#records += records;
    if (this.#options.sync === 'disk' || this.#syncTimer !== null || this.#closed) return;
    // The kernel writes it in any case: no reason to keep a process alive.
    this.#syncTimer = setTimeout(() => void this.#syncBehind(), SYNC_DELAY_MS).unref();
  }

  async #syncBehind(): Promise<void> {
    this.#syncTimer = null;
    this.#syncing = true;
    try {
      await this.#file.datasync();
    } catch (error) {
      this.#options.onError?.(error);
    }
    this.#syncing = false;
  }

  /** Best effort: the next write goes to the same place, and opening cuts a torn end as well. */
  #cutTorn(): void {
    try {
      ftruncateSync(this.#file.fd, this.#bytes);
    } catch {}
  }
}

/** What a compaction writes, until it takes the journal's name. */
const draftOf = (path: string): string => `${path}.draft`;

const isSmall = (lines: readonly string[]): boolean =>
  lines.length <= INLINE_RECORDS && lines.reduce((sum, line) => sum + line.length, 0) <= INLINE_CHARS;

/**
 * Open a journal, and replay what is there.
 * @throws JOURNAL_DAMAGED; JOURNAL_IN_USE with the pid of the process that has it open; what `onRecord` throws; the system's error
 */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { folder, name } = options;
  makeFolders(folder);
  const path = join(folder, `${name}.journal`);
  const unlock = await lockJournal(path);
  let file: FileHandle | null = null;
  try {
    await rm(draftOf(path), { force: true });
    file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    await file.chmod(0o600);
    await syncFolder(folder);
    const content = await readJournal(file, path, (record) => options.onRecord(record));
    if (content.tornBytes > 0) {
      await file.truncate(content.bytes);
      await file.datasync();
    }
    return new Journal(options, path, file, content, unlock);
  } catch (error) {
    await file?.close();
    await unlock();
    throw error;
  }
}
