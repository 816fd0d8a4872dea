/** Where checkpoints that clients can name are kept beyond this machine: what the training service needs of such a place. The runtime has it. */
import type { Checkpoint } from './types/checkpoints.js';

/** A detail of `STORAGE_FAILED`: true when no answer came, or a later try may go better. */
export const UNSURE = 'unsure';

/**
 * A checkpoint is there once its record is; files without a record are not. All calls but `list` get checkpoints with `stored`, and reject with
 * `STORAGE_FAILED` in words that can be shown to clients; with {@link UNSURE} in its details when it may have been done all the same.
 */
export interface CheckpointStore {
  /** All that are whole, with the folders that they have, or would have, on this machine. */
  list(): Promise<readonly Checkpoint[]>;
  /** Its files, from its folder. Nothing is listed yet. */
  put(checkpoint: Checkpoint): Promise<void>;
  /** Its files, which are those of another one that is there. Nothing is listed yet. */
  copy(from: Checkpoint, to: Checkpoint): Promise<void>;
  /** From now on it is the one of its path. Its files are there. */
  record(checkpoint: Checkpoint): Promise<void>;
  /** From now on there is none of its path. */
  unrecord(checkpoint: Checkpoint): Promise<void>;
  /** Remove its files, as many as there are. Its record is gone, or another one's. */
  remove(checkpoint: Checkpoint): Promise<void>;
  /** Its files into a folder that exists. @throws also `CHECKPOINT_NOT_FOUND` when they are gone */
  fetch(checkpoint: Checkpoint, folder: string): Promise<void>;
}
