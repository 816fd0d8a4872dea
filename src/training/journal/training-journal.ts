/**
 * The journal of the training service: opened with the first session, or at the start of a server whose home has one. What is appended is safe from
 * kill -9 once {@link TrainingJournal.written} says so. While it cannot be written or read, nothing new is promised.
 */
import { existsSync } from 'node:fs';
import { asTwinkleError, TwinkleError } from '../../errors.js';
import type { Logger } from '../../observability/logger.js';
import type { Recorder } from './recorder.js';
import type { TrainingRecord } from './records.js';
import { Replay } from './replay.js';
import type { Living, Segments } from './segments.js';

const SEGMENT_BYTES = 16 << 20;
/** Between attempts to open what could not be opened. */
const RETRY_MS = 1000;

/** Whose state is kept. */
export interface Kept extends Living {
  /** Take up what there was. @param segment the first one of this server: no server before it had that number */
  restore(replay: Replay, segment: number): void;
  /** What is restored is on the journal again: answer what nobody computes any more. */
  resume(): void;
}

export interface TrainingJournalOptions {
  readonly folder: string;
  readonly log: Logger;
  nowMs(): number;
  /** Default: 16 MiB. */
  readonly segmentBytes?: number;
}

export class TrainingJournal implements Recorder {
  #kept: Kept | null = null;
  #segments: Segments | null = null;
  #opening: Promise<void> | null = null;
  /** Something was appended before it was open. */
  #wanted = false;
  /** Why it cannot be opened, and when that was found. */
  #closedBy: { readonly error: TwinkleError; readonly at: number } | null = null;
  /** Why it cannot be written now. */
  #unwritten: TwinkleError | null = null;
  #stopped = false;

  constructor(private readonly options: TrainingJournalOptions) {}

  /** To be called before anything else. */
  attach(kept: Kept): void {
    this.#kept = kept;
  }

  /** Read what there is; nothing is opened where there is nothing. Never rejects: what is wrong is logged, and said to whom it concerns. */
  async restore(): Promise<void> {
    if (!existsSync(this.options.folder)) return;
    await this.#open().catch(() => {});
  }

  append(record: TrainingRecord): number {
    if (this.#stopped) return 0;
    if (this.#segments !== null) return this.#segments.append(record);
    // The first segment begins with all that lives by then.
    this.#wanted = true;
    return 0;
  }

  /**
   * Null: all that was appended is safe. Otherwise resolves when it is.
   * @throws (rejects) `JOURNAL_FAILED` when it cannot be written now: it will be with one of the next calls; `CONFIG_INVALID` when there can be no journal
   */
  written(): Promise<void> | null {
    if (this.#segments === null) return this.#wanted && !this.#stopped ? this.#opened() : null;
    if (this.#segments.flushed) return null;
    const flush = this.#segments.flush();
    if (this.#segments.flushed) {
      this.#isWritten();
      return null;
    }
    return flush.then(
      () => this.#isWritten(),
      (error: unknown) => {
        throw this.#failed(error);
      },
    );
  }

  checkWritable(): void {
    if (this.#stopped) throw new TwinkleError('DRAINING', 'the server is shutting down and takes no new work');
    if (this.#closedBy !== null) {
      const { error } = this.#closedBy;
      this.#retry();
      throw unusable(error);
    }
    if (this.#unwritten === null) return;
    this.written()?.catch(() => {}); // said by what it sets
    if (this.#unwritten !== null) throw this.#unwritten;
  }

  checkRead(): void {
    if (this.#closedBy === null) return;
    const { error } = this.#closedBy;
    this.#retry();
    throw new TwinkleError('NOT_READY', `this server cannot read what training kept: ${error.message}`, {
      cause: error,
      retryAfterMs: RETRY_MS,
    });
  }

  /** To be called now and then. */
  async sweep(): Promise<void> {
    await this.written()?.catch(() => {});
    await this.#segments?.trim();
  }

  /** From now on nothing is recorded: what ends with the server is found as kill -9 leaves it, and goes on as after that. */
  stop(): void {
    this.#stopped = true;
  }

  async close(): Promise<void> {
    this.stop();
    await this.#opening?.catch(() => {});
    await this.#segments?.close();
  }

  #open(): Promise<void> {
    this.#opening ??= this.#begin().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #begin(): Promise<void> {
    const { folder, log, segmentBytes = SEGMENT_BYTES } = this.options;
    const kept = this.#kept;
    if (kept === null) throw new TwinkleError('INTERNAL', 'the training journal has nobody whose state it keeps');
    let segments: Segments | null = null;
    try {
      // A server that only serves has no use for it.
      const { openSegments } = await import('./segments.js');
      const replay = new Replay();
      segments = await openSegments({
        folder,
        segmentBytes,
        living: kept,
        onRecord: (record, segment) => replay.apply(record, segment),
        onError: (error) => void this.#failed(error),
      });
      kept.restore(replay, segments.number);
      segments.begin();
      this.#segments = segments;
      this.#closedBy = null;
      // Answers that came before it was open.
      if (kept.keeps(0)) kept.move(0);
      kept.resume();
      if (replay.sessions.size > 0) log.info(sizesOf(replay), 'training_restored');
    } catch (thrown) {
      // It is locked, also against the next attempt.
      await segments?.close().catch(() => {});
      const error = asTwinkleError(thrown);
      if (this.#closedBy === null) log.error({ error: error.message, code: error.code }, 'training_journal_not_opened');
      this.#closedBy = { error, at: this.options.nowMs() };
      this.#wanted = false;
      throw unusable(error);
    }
  }

  async #opened(): Promise<void> {
    await this.#open();
    await this.written();
  }

  #retry(): void {
    if ((this.#closedBy?.at ?? 0) + RETRY_MS <= this.options.nowMs()) this.#open().catch(() => {});
  }

  #failed(thrown: unknown): TwinkleError {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    if (this.#unwritten === null) this.options.log.error({ error: message }, 'training_journal_failed');
    this.#unwritten = new TwinkleError(
      'JOURNAL_FAILED',
      `the training journal in \`${this.options.folder}\` cannot be written (${message}), so nothing is acknowledged: make room`,
      { cause: thrown, retryAfterMs: RETRY_MS },
    );
    return this.#unwritten;
  }

  #isWritten(): void {
    if (this.#unwritten === null) return;
    this.#unwritten = null;
    this.options.log.info({}, 'training_journal_written_again');
  }
}

/** 400: the SDK would repeat a 5xx for minutes, and nothing will change meanwhile. */
function unusable(error: TwinkleError): TwinkleError {
  return new TwinkleError('CONFIG_INVALID', `this server can keep no training session: ${error.message}`, {
    cause: error,
  });
}

function sizesOf({ futures, runs, samplers, sessions }: Replay): object {
  return { sessions: sessions.size, samplers: samplers.size, runs: runs.size, requests: futures.size };
}
