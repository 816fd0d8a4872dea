/** Names of checkpoints, of what clients write. Pure. */
import { TwinkleError } from '../errors.js';
import { shown } from './arguments.js';

/**
 * @param written null: none
 * @param at makes it another name than any before; null: the same name is the same checkpoint
 * @throws `INVALID_REQUEST`
 */
export function savedName(written: unknown, passes: number, at: Date | null): string {
  if (written !== null && (typeof written !== 'string' || written === ''))
    throw new TwinkleError('INVALID_REQUEST', `expected a name for \`name\` but received ${shown(written)}`, {
      param: 'name',
    });
  // As the peer writes them: every other character becomes one of these.
  const name = (written ?? `checkpoint-step-${passes}`).replaceAll(/[^\w-]/g, '_').slice(0, 90);
  const begun = /^[A-Za-z0-9_]/.test(name) ? name : `_${name}`;
  return at === null ? begun : `${begun}-${at.toISOString().replaceAll(/[^\d]/g, '')}`;
}
