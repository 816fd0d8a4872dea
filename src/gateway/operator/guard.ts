/**
 * Who may operate the engines: whoever shows a key of the server; on loopback without keys anybody of this machine, but no page in a
 * browser; without authentication (`--no-auth`) nobody. The admin socket, which only the user of the server can open, always may.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { AuthConfig } from '../../config/types.js';
import { TwinkleError } from '../../errors.js';

/** A request of a web page: its author is not the user of this machine. Programs send neither header. */
function isOfPage(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  return headers.origin !== undefined || (site !== undefined && site !== 'none');
}

/** Throws `UNAUTHORIZED`. For requests that have passed authentication. */
export function checkOperator(mode: AuthConfig['mode'], headers: IncomingHttpHeaders): void {
  if (mode === 'off') {
    throw new TwinkleError(
      'UNAUTHORIZED',
      'This server was started with --no-auth, so this route does not know its operator: use the admin socket, or start it with an API key.',
    );
  }
  if (mode === 'anonymous' && isOfPage(headers)) {
    throw new TwinkleError(
      'UNAUTHORIZED',
      'This route is not for web pages while the server needs no key: start it with an API key, or call it from a program.',
    );
  }
}
