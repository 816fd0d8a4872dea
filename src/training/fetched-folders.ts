/** Folders of checkpoints that are kept elsewhere, as they are needed here: each fetched once however many ask, and never seen half. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TwinkleError } from '../errors.js';
import { makeFolders } from '../util/make-folders.js';
import { pathText } from './checkpoint-path.js';
import type { CheckpointStore } from './checkpoint-store.js';
import type { Checkpoint } from './types/checkpoints.js';

/** No folder of a checkpoint ends so: a scan takes it for torn. */
const DRAFT = '.part';

export class FetchedFolders {
  /** Folder → its download. */
  readonly #flights = new Map<string, Promise<void>>();

  /** @param wanted whether a checkpoint is still the one of its path */
  constructor(
    private readonly store: CheckpointStore,
    private readonly wanted: (checkpoint: Checkpoint) => boolean,
  ) {}

  /**
   * Null: its folder is here.
   * @returns rejects with `STORAGE_FAILED`, and with `CHECKPOINT_NOT_FOUND` when it was removed meanwhile
   */
  bring(checkpoint: Checkpoint): Promise<void> | null {
    const { folder } = checkpoint;
    const flight = this.#flights.get(folder);
    if (flight !== undefined) return flight;
    if (existsSync(folder)) return null;
    const begun = this.#fetch(checkpoint).finally(() => this.#flights.delete(folder));
    this.#flights.set(folder, begun);
    return begun;
  }

  async #fetch(checkpoint: Checkpoint): Promise<void> {
    const { folder, path, stored = [] } = checkpoint;
    const draft = `${folder}${DRAFT}`;
    makeFolders(dirname(folder));
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft);
    const checkWanted = (): void => {
      if (!this.wanted(checkpoint))
        throw new TwinkleError('CHECKPOINT_NOT_FOUND', `checkpoint \`${pathText(path)}\` was removed meanwhile`);
    };
    try {
      await this.store.fetch(checkpoint, draft);
      for (const { bytes, name } of stored) await checkFile(join(draft, name), bytes);
      checkWanted();
      renameSync(draft, folder);
    } catch (error) {
      checkWanted(); // its files went with it
      throw error;
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  }
}

/** Whole, and on disk: what has its last name is not looked at again. */
async function checkFile(path: string, bytes: number): Promise<void> {
  const { size } = await stat(path);
  if (size !== bytes) throw new TwinkleError('STORAGE_FAILED', `${size} of ${bytes} bytes of a checkpoint’s file came`);
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
