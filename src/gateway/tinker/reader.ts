/** By whose right a checkpoint is read: the caller's, or that of another account whose token it shows. */
import { type CheckpointPath, readPath } from '../../training/checkpoint-path.js';
import type { TinkerCall } from './route.js';

/**
 * @param token API key of that account; null or absent: none
 * @throws `INVALID_REQUEST` for what is no path, `CHECKPOINT_NOT_FOUND`, `UNAUTHORIZED` for a token that is no key of this server
 */
export function readBy(
  { authenticate, tenant, training }: TinkerCall,
  path: string,
  token: string | null | undefined,
): { readonly from: CheckpointPath; readonly reader: string } {
  const from = readPath(path);
  const reader = token == null ? tenant : authenticate({ 'x-api-key': token });
  training.checkpoints.readable(reader, from);
  return { from, reader };
}
