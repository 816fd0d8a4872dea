/**
 * Checkpoints that clients can name: on disk, and in a store where one is configured. There, what is not in the store is not acknowledged; folders on
 * this machine are its copies, fetched when they are missing.
 */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { asTwinkleError } from '../errors.js';
import { type Logger, SILENT } from '../observability/logger.js';
import type { CheckpointFiles } from './checkpoint-files.js';
import { type CheckpointPath, pathText } from './checkpoint-path.js';
import { type CheckpointStore, UNSURE } from './checkpoint-store.js';
import type { Checkpoints } from './checkpoints.js';
import { FetchedFolders } from './fetched-folders.js';
import { PathTurns } from './path-turns.js';
import type { Checkpoint, CheckpointFile, CheckpointRegistry, CopyRequest } from './types/checkpoints.js';

export interface NamedParts {
  readonly all: Checkpoints;
  readonly files: CheckpointFiles;
  /** Null: the disk is all there is. */
  readonly store: CheckpointStore | null;
  readonly log?: Logger;
}

export class NamedCheckpoints implements CheckpointRegistry {
  readonly #all: Checkpoints;
  readonly #files: CheckpointFiles;
  readonly #store: CheckpointStore | null;
  readonly #log: Logger;
  readonly #turns = new PathTurns();
  readonly #fetched: FetchedFolders | null;

  constructor({ all, files, log = SILENT, store }: NamedParts) {
    this.#all = all;
    this.#files = files;
    this.#store = store;
    this.#log = log;
    this.#fetched = store && new FetchedFolders(store, ({ folder, path }) => all.at(path)?.folder === folder);
  }

  /** Learn which there are in the store; before the first question. @throws `STORAGE_FAILED` */
  async load(): Promise<void> {
    if (this.#store !== null) this.#all.scan(await this.#store.list());
  }

  /**
   * The ranks have written it: it is there when this resolves. Saves of one path end in the order in which they began.
   * @throws `STORAGE_FAILED`, `INVALID_REQUEST` when its tenant has no room for it; then nothing is left of it
   */
  async save(written: Checkpoint): Promise<void> {
    const { bytes, path, tenant } = written;
    let release = (): void => {};
    try {
      release = this.#all.reserve(tenant, path, bytes);
      if (this.#store === null) this.#all.add(written);
      else await this.#upload(this.#store, written);
    } catch (error) {
      this.#all.discard(written);
      throw error;
    } finally {
      release();
    }
  }

  of(tenant: string): readonly Checkpoint[] {
    return this.#all.of(tenant);
  }

  readable(tenant: string, path: CheckpointPath): Checkpoint {
    return this.#all.readable(tenant, path);
  }

  async remove(tenant: string, path: CheckpointPath): Promise<void> {
    this.#all.own(tenant, path);
    await this.#turns.take(pathText(path), () => this.#drop(this.#all.own(tenant, path)));
  }

  async publish(tenant: string, path: CheckpointPath, isPublic: boolean): Promise<void> {
    await this.#change(tenant, path, { public: isPublic });
  }

  async keepFor(tenant: string, path: CheckpointPath, seconds: number | null): Promise<void> {
    await this.#change(tenant, path, { expires: this.#all.until(seconds) });
  }

  async copy(tenant: string, { from, reader, run, ttlSeconds }: CopyRequest): Promise<Checkpoint> {
    const path: CheckpointPath = { ...from, run };
    return await this.#turns.take(pathText(path), async () => {
      const source = this.#all.readable(reader, from);
      const known = this.#all.find(tenant, path);
      if (known !== null && known.copyOf === source.folder) return known;
      this.#all.checkFree(path);
      const release = this.#all.reserve(tenant, path, source.bytes);
      const folder = this.#all.newFolder(tenant, path);
      const own = { path, tenant, folder, time: this.#all.now(), expires: this.#all.until(ttlSeconds), public: false };
      const made: Checkpoint = { ...source, ...own, copyOf: source.folder };
      try {
        if (source.stored === undefined || existsSync(source.folder)) this.#files.copy(source, folder);
        if (this.#store === null) this.#all.add(made);
        else await this.#keep(this.#store, made, source);
      } catch (error) {
        this.#all.discard(made);
        throw error;
      } finally {
        release();
      }
      return this.#all.readable(tenant, path);
    });
  }

  list(tenant: string, path: CheckpointPath): readonly CheckpointFile[] {
    return this.#files.list(this.#all.readable(tenant, path));
  }

  /** Null: its folder is here, as far as it ever was. @returns as {@link FetchedFolders.bring}. @throws `CHECKPOINT_NOT_FOUND` */
  bring(tenant: string, path: CheckpointPath): Promise<void> | null {
    const found = this.#all.readable(tenant, path);
    return found.stored === undefined || this.#fetched === null ? null : this.#fetched.bring(found);
  }

  /** Remove those whose time is up. To be called now and then. */
  sweep(): void {
    for (const one of this.#all.over()) {
      const key = pathText(one.path);
      if (this.#turns.busy(key)) continue; // the next time, then
      this.#turns.take(key, () => this.#drop(one)).catch((error: unknown) => this.#left(one, error));
    }
  }

  /** What cannot be kept, or be told to the store, is as it was. */
  async #change(tenant: string, path: CheckpointPath, changes: Partial<Checkpoint>): Promise<void> {
    this.#all.own(tenant, path);
    await this.#turns.take(pathText(path), async () => {
      const changed = { ...this.#all.own(tenant, path), ...changes };
      if (changed.stored !== undefined) await this.#store?.record(changed);
      this.#all.add(changed);
    });
  }

  async #upload(store: CheckpointStore, written: Checkpoint): Promise<void> {
    await this.#turns.take(pathText(written.path), () => this.#keep(store, written, null));
  }

  /** @param source whose files it has; null: it has its own, on disk */
  async #keep(store: CheckpointStore, written: Checkpoint, source: Checkpoint | null): Promise<void> {
    const began = performance.now();
    const { bytes, path } = written;
    const made: Checkpoint = { ...written, stored: source?.stored ?? this.#files.sizes(written) };
    const older = this.#all.at(path);
    try {
      if (source?.stored === undefined) await store.put(made);
      else await store.copy(source, made);
    } catch (error) {
      await this.#clear(store, made);
      throw error;
    }
    await this.#record(store, made, older);
    this.#all.add(made);
    if (older?.stored !== undefined) await this.#clear(store, older);
    const ms = Math.round(performance.now() - began);
    this.#log.info({ run: path.run, kind: path.kind, bytes, ms }, 'checkpoint_uploaded');
  }

  async #record(store: CheckpointStore, made: Checkpoint, older: Checkpoint | null): Promise<void> {
    try {
      await store.record(made);
    } catch (error) {
      if (asTwinkleError(error).details[UNSURE] !== true || (await this.#takenBack(store, made, older)))
        await this.#clear(store, made);
      throw error;
    }
  }

  /** What failed must not be listed by a server after this one. @returns false: whichever record is there, its files have to be, too */
  async #takenBack(store: CheckpointStore, made: Checkpoint, older: Checkpoint | null): Promise<boolean> {
    try {
      if (older?.stored === undefined) await store.unrecord(made);
      else await store.record(older);
      return true;
    } catch (error) {
      this.#left(made, error);
      return false;
    }
  }

  async #drop(one: Checkpoint): Promise<void> {
    if (one.stored !== undefined) await this.#store?.unrecord(one);
    this.#all.forget(one);
    this.#all.discard(one);
    if (one.stored !== undefined && this.#store !== null) await this.#clear(this.#store, one);
  }

  /** Files without a record are nobody's: what stays is in nobody's way. */
  async #clear(store: CheckpointStore, one: Checkpoint): Promise<void> {
    try {
      await store.remove(one);
    } catch (error) {
      this.#left(one, error);
    }
  }

  #left({ folder, path }: Checkpoint, error: unknown): void {
    const mark = basename(folder).slice(path.name.length);
    this.#log.warn({ run: path.run, kind: path.kind, mark, error: asTwinkleError(error).message }, 'checkpoint_left');
  }
}
