/**
 * The files of the training journal: segments, numbered, written one after another. Each begins with all that must be known besides kept
 * answers, so the oldest can go as soon as no answer in it is kept; nothing is ever rewritten at a stretch. One process at a time.
 */
import { readdirSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Journal, openJournal } from '../../store/journal.js';
import { readLines } from '../../store/journal-file.js';
import { lockJournal } from '../../store/journal-lock.js';
import { makeFolders } from '../../util/make-folders.js';
import { runAll } from '../../util/run-all.js';
import { readRecord } from './read-record.js';
import type { TrainingRecord } from './records.js';

/** What lives, as its owner knows it. */
export interface Living {
  /** All but answers: sessions, samplers, runs, requests without an answer. */
  snapshot(): Iterable<TrainingRecord>;
  /** Whether answers of that segment are kept. */
  keeps(segment: number): boolean;
  /** Append again what is kept of that segment. */
  move(segment: number): void;
  /** Bytes that kept answers have in the files, about. */
  keptBytes(): number;
}

export interface SegmentsOptions {
  /** Made if need be. */
  readonly folder: string;
  /** A segment of so many bytes is followed by the next. */
  readonly segmentBytes: number;
  readonly living: Living;
  /** Told all that is there, oldest first, before it opens. */
  onRecord(record: TrainingRecord, segment: number): void;
  /** What failed in the background; it is tried again. */
  onError(error: unknown): void;
}

interface OldSegment {
  readonly number: number;
  readonly bytes: number;
}

/** Files are cleaned when they are so many times what lives in them, and so many segments besides. */
const MAX_WASTE = 3;
const SPARE_SEGMENTS = 4;

export class Segments {
  #rotation: Promise<void> | null = null;
  /** The segment before, until it is closed. */
  #before: Journal | null = null;
  #rotationFailed = false;
  #trimming = false;
  #closed = false;

  constructor(
    private readonly options: SegmentsOptions,
    private readonly unlock: () => Promise<void>,
    /** Oldest first. */
    private readonly old: OldSegment[],
    private current: Journal,
    private at: number,
  ) {}

  /** Of the segment that is written. */
  get number(): number {
    return this.at;
  }

  append(record: TrainingRecord): number {
    if (this.#closed) return this.at;
    this.current.append(record);
    const full = this.current.size > this.options.segmentBytes;
    const free = this.#rotation === null && this.#before === null && !this.#rotationFailed;
    if (full && free) this.#rotation = this.#rotate();
    return this.at;
  }

  /** Whether all is with the kernel. */
  get flushed(): boolean {
    return this.#closed || (this.current.flushed && this.#before?.flushed !== false);
  }

  /** @throws the system's error; the records wait for the next one */
  flush(): Promise<void> {
    const before = this.#before;
    return before === null ? this.current.flush() : before.flush().then(() => this.current.flush());
  }

  /** Write what must be known again: the beginning of a segment. */
  begin(): void {
    for (const record of this.options.living.snapshot()) this.current.append(record);
  }

  /** Remove segments in which nothing lives, or too little for their size. To be called now and then. */
  async trim(): Promise<void> {
    this.#rotationFailed = false;
    if (this.#trimming || this.#closed) return;
    this.#trimming = true;
    try {
      await this.#retire();
      await this.#trim();
    } catch (error) {
      this.options.onError(error);
    } finally {
      this.#trimming = false;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.#rotation;
    this.#closed = true;
    const errors = await runAll([() => this.#retire(), () => this.current.close(), () => this.unlock()]);
    if (errors.length > 0) throw errors[0];
  }

  async #trim(): Promise<void> {
    const { living } = this.options;
    // The one behind it is closed, so the disk has what it begins with: a power failure must not find both gone.
    for (let [oldest, next] = this.old; oldest !== undefined && next !== undefined; [oldest, next] = this.old) {
      if (living.keeps(oldest.number)) {
        if (!this.#wasteful()) return;
        living.move(oldest.number);
      }
      await this.flush();
      if (this.#closed) return;
      this.old.shift();
      rmSync(pathOf(this.options.folder, oldest.number), { force: true });
    }
  }

  /** Closing gives up what cannot be written. */
  async #retire(): Promise<void> {
    const before = this.#before;
    if (before === null) return;
    await before.flush();
    if (this.#before !== before) return;
    this.#before = null;
    await before.close();
  }

  #wasteful(): boolean {
    const { living, segmentBytes } = this.options;
    const bytes = this.old.reduce((sum, segment) => sum + segment.bytes, this.current.size);
    return bytes > MAX_WASTE * living.keptBytes() + SPARE_SEGMENTS * segmentBytes;
  }

  async #rotate(): Promise<void> {
    try {
      const next = await openSegment(this.options, this.at + 1);
      this.#before = this.current;
      this.old.push({ number: this.at, bytes: this.current.size });
      this.current = next;
      this.at += 1;
      // All that the segment before may not have yet, but answers that nobody was given.
      this.begin();
      await this.#retire();
    } catch (error) {
      // A full disk: until the next trim it stays as it is.
      this.#rotationFailed = true;
      this.options.onError(error);
    } finally {
      this.#rotation = null;
    }
  }
}

/** @throws `JOURNAL_IN_USE`, `JOURNAL_DAMAGED`; the system's error */
export async function openSegments(options: SegmentsOptions): Promise<Segments> {
  const { folder } = options;
  makeFolders(folder);
  const unlock = await lockJournal(join(folder, 'training'));
  try {
    const old: OldSegment[] = [];
    for (const number of numbersIn(folder)) {
      const path = pathOf(folder, number);
      const file = await open(path, 'r');
      try {
        const { bytes } = await readLines(file, path, (json) => options.onRecord(readRecord(json), number));
        old.push({ number, bytes });
      } finally {
        await file.close();
      }
      // A killed process left it.
      rmSync(`${path}.lock`, { force: true });
    }
    const number = (old.at(-1)?.number ?? 0) + 1;
    return new Segments(options, unlock, old, await openSegment(options, number), number);
  } catch (error) {
    await unlock();
    throw error;
  }
}

function openSegment({ folder, onError }: SegmentsOptions, number: number): Promise<Journal> {
  return openJournal({ folder, name: String(number), sync: 'kernel', onRecord() {}, onError });
}

const pathOf = (folder: string, number: number): string => join(folder, `${number}.journal`);

function numbersIn(folder: string): number[] {
  const numbers = readdirSync(folder).flatMap((name) => /^(\d+)\.journal$/.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}
