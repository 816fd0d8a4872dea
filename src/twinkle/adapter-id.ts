/** What adapters are called: `<session>-<name>`. Pure. */
import { TwinkleError } from '../errors.js';
import { shown } from './arguments.js';
import type { AdapterCall } from './types.js';

const NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** @throws `INVALID_REQUEST` without a session, and for a name that no folder could have */
export function adapterIdOf({ adapter, session }: Pick<AdapterCall, 'adapter' | 'session'>): {
  readonly session: string;
  readonly id: string;
} {
  if (session === null || session === '') {
    throw new TwinkleError(
      'INVALID_REQUEST',
      'expected a session in the header `X-Twinkle-Session-Id`: begin one with create_session, as TwinkleClient does',
    );
  }
  if (NAME.test(adapter)) return { session, id: `${session}-${adapter.replaceAll('.', '_')}` };
  throw new TwinkleError(
    'INVALID_REQUEST',
    `expected letters, digits, "_", "-" and "." (up to 128) for \`adapter_name\` but received ${shown(adapter)}`,
    { param: 'adapter_name' },
  );
}
