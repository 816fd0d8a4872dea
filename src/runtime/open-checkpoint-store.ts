/** Where a head keeps checkpoints beyond its home folder, if anywhere. What that takes is imported only then. */
import { join } from 'node:path';
import type { ServeConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import type { CheckpointStore } from '../training/checkpoint-store.js';

/** All checkpoints on this machine. */
export const checkpointRoot = (home: string): string => join(home, 'checkpoints');

/** @throws `STORAGE_FAILED` for a bucket that cannot be used, `CONFIG_INVALID` without the SDK */
export async function openCheckpointStore(
  { home, training }: Pick<ServeConfig, 'home' | 'training'>,
  log: Logger,
): Promise<(CheckpointStore & AsyncDisposable) | null> {
  const { checkpointStore: place } = training;
  if (place === null) return null;
  const { BucketCheckpoints } = await import('./bucket-checkpoints.js');
  return await BucketCheckpoints.open({ place, root: checkpointRoot(home), log });
}
