/** Checkpoints in a bucket: their objects lie as their files do on disk, and the record comes last. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { allOf, BucketTransfer } from '../serving/bucket/bucket-transfer.js';
import { FetchFailure } from '../serving/bucket/fetch-failure.js';
import { openS3, type WritableStore } from '../serving/bucket/s3-objects.js';
import { pathText } from '../training/checkpoint-path.js';
import { type CheckpointStore, UNSURE } from '../training/checkpoint-store.js';
import { folderKey, readKey, readStored, recordKey, writeStored } from '../training/stored-record.js';
import type { Checkpoint } from '../training/types/checkpoints.js';
import type { BucketPlace } from '../util/bucket-url.js';

/** Files without a record that are older are nobody's: no save takes so long, and another server may be at one. */
const TORN_AFTER_MS = 24 * 3_600_000;

export interface BucketCheckpointOptions {
  readonly place: BucketPlace;
  /** Absolute: of all checkpoints on this machine. */
  readonly root: string;
  readonly log: Logger;
  /** Default: AWS's SDK, as this process's environment has it. */
  readonly open?: () => Promise<WritableStore>;
}

export class BucketCheckpoints implements CheckpointStore, AsyncDisposable {
  readonly #transfer: BucketTransfer;
  readonly #closing = new AbortController();

  private constructor(
    private readonly store: WritableStore,
    private readonly options: BucketCheckpointOptions,
  ) {
    this.#transfer = new BucketTransfer(store, options.place, this.#closing.signal);
  }

  /**
   * Shows that the bucket can be written, read and cleaned, with one small object.
   * @throws `STORAGE_FAILED` with the reason; `CONFIG_INVALID` without the SDK
   */
  static async open(options: BucketCheckpointOptions): Promise<BucketCheckpoints> {
    const made = new BucketCheckpoints(await (options.open ?? openS3)(), options);
    try {
      await made.#check();
    } catch (error) {
      await made[Symbol.asyncDispose]();
      const { bucket, prefix } = options.place;
      const why = `cannot keep checkpoints in \`s3://${bucket}/${prefix}\`: ${asTwinkleError(error).message}`;
      throw new TwinkleError('STORAGE_FAILED', `${why}; mend that, or start without \`--checkpoint-store\``, {
        cause: error,
      });
    }
    return made;
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new TwinkleError('DRAINING', 'the server is shutting down'));
    this.store.close();
  }

  async list(): Promise<readonly Checkpoint[]> {
    return await this.#said(async () => {
      const { log, root } = this.options;
      const began = performance.now();
      const objects = await this.#transfer.list();
      const sizes = new Map(objects.map(({ key, size }) => [key, size]));
      const records = objects.filter(({ key }) => readKey(key)?.folder === null);
      const read = records.map(async ({ key }) => readStored(key, await this.#transfer.readText(key), root));
      await allOf(read);
      const all = await Promise.all(read);
      const whole = all.filter((one) => one !== null).filter((one) => isWhole(one, sizes));
      const odd = new Set(records.map(({ key }) => key));
      for (const one of whole) odd.delete(recordKey(one));
      if (odd.size > 0) log.warn({ records: [...odd].slice(0, 10), count: odd.size }, 'checkpoints_unreadable');
      log.info({ checkpoints: whole.length, ms: Math.round(performance.now() - began) }, 'checkpoints_listed');
      const folders = new Set(whole.map(folderKey));
      const before = Date.now() - TORN_AFTER_MS;
      const torn = objects.filter(({ key, modified }) => {
        const name = readKey(key);
        if (name === null || name.folder === null || modified > before) return false;
        return !folders.has(name.folder) && !odd.has(name.record);
      });
      void this.#sweep(torn.map(({ key }) => key));
      return whole;
    });
  }

  async put(checkpoint: Checkpoint): Promise<void> {
    const { folder, stored = [] } = checkpoint;
    const above = folderKey(checkpoint);
    const one = ({ bytes, name }: { bytes: number; name: string }): Promise<void> =>
      this.#transfer.upload(`${above}/${name}`, join(folder, name), bytes);
    await this.#said(() => allOf(stored.map(one)));
  }

  async copy(from: Checkpoint, to: Checkpoint): Promise<void> {
    const [source, target] = [folderKey(from), folderKey(to)];
    const one = ({ bytes, name }: { bytes: number; name: string }): Promise<void> =>
      this.#transfer.copy(`${source}/${name}`, `${target}/${name}`, bytes);
    await this.#said(() => allOf((from.stored ?? []).map(one)));
  }

  async record(checkpoint: Checkpoint): Promise<void> {
    const json = writeStored(checkpoint, this.options.root);
    await this.#said(() => this.#transfer.writeText(recordKey(checkpoint), json));
  }

  async unrecord(checkpoint: Checkpoint): Promise<void> {
    await this.#said(() => this.#transfer.remove(recordKey(checkpoint)));
  }

  async remove(checkpoint: Checkpoint): Promise<void> {
    const above = folderKey(checkpoint);
    const all = (checkpoint.stored ?? []).map(({ name }) => this.#transfer.remove(`${above}/${name}`));
    await this.#said(() => allOf(all));
  }

  async fetch(checkpoint: Checkpoint, folder: string): Promise<void> {
    const { path, stored = [] } = checkpoint;
    await this.#said(async () => {
      const found = await this.#transfer.listBelow(folderKey(checkpoint));
      const objects = stored.flatMap(({ name }) => found.filter(({ file }) => file === name));
      if (objects.length < stored.length)
        throw new TwinkleError(
          'CHECKPOINT_NOT_FOUND',
          `files of checkpoint \`${pathText(path)}\` are gone from the bucket`,
        );
      await this.#transfer.download(objects, folder);
    });
  }

  async #check(): Promise<void> {
    const name = `.check-${randomBytes(6).toString('hex')}`;
    await this.#transfer.writeText(name, 'twinkle-node');
    await this.#transfer.readText(name);
    await this.#transfer.remove(name);
  }

  async #sweep(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const done = await Promise.allSettled(keys.map((key) => this.#transfer.remove(key)));
    const removed = done.filter(({ status }) => status === 'fulfilled').length;
    this.options.log.info({ objects: keys.length, removed }, 'torn_checkpoints_removed');
  }

  /** In words for clients; a store's own errors carry requests with their signatures. */
  async #said<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof FetchFailure)) throw error;
      this.options.log.warn({ reason: error.why, error: String(error.cause ?? '') }, 'checkpoint_store_failed');
      throw new TwinkleError('STORAGE_FAILED', `the store of checkpoints failed: ${error.why}`, {
        cause: error,
        details: { [UNSURE]: error.again },
      });
    }
  }
}

/** All its files are there, as large as they were. */
function isWhole(checkpoint: Checkpoint, sizes: ReadonlyMap<string, number>): boolean {
  const above = folderKey(checkpoint);
  return (checkpoint.stored ?? []).every(({ bytes, name }) => sizes.get(`${above}/${name}`) === bytes);
}
