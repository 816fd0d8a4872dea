/** Which checkpoint a request means, by whose right it is read, and whether it is of the model that the request names. */
import { TwinkleError } from '../../errors.js';
import { type CheckpointPath, readPath } from '../../training/checkpoint-path.js';
import type { TinkerCall } from './route.js';

/**
 * @param token API key of another account whose right counts; null or absent: the caller's own
 * @throws `INVALID_REQUEST` for what is no path, `UNAUTHORIZED` for a token that is no key of this server
 */
export function readBy(
  { authenticate, tenant }: TinkerCall,
  path: string,
  token: string | null | undefined,
): { readonly from: CheckpointPath; readonly reader: string } {
  return { from: readPath(path), reader: token == null ? tenant : authenticate({ 'x-api-key': token }) };
}

/**
 * @param named null or absent: none, which is fine
 * @throws `INVALID_REQUEST` for another base model than the checkpoint's, `CHECKPOINT_NOT_FOUND`
 */
export function checkBaseModel(
  { training }: TinkerCall,
  reader: string,
  from: CheckpointPath,
  named: string | null | undefined,
): void {
  const { baseModel } = training.checkpoints.readable(reader, from).run;
  if (named == null || named === baseModel) return;
  throw new TwinkleError(
    'INVALID_REQUEST',
    `expected base_model \`${baseModel}\`, which the checkpoint is of, but received \`${named}\``,
    { param: 'base_model' },
  );
}
