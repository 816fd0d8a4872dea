/** Who asks: API keys to tenants. Compares hashes in constant time, and never keeps, logs or returns a key. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { AuthConfig } from '../../config/types.js';
import { TwinkleError } from '../../errors.js';

/** Tenant of a request that shows no key where none is needed. */
export const LOCAL_TENANT = 'local';

const BEARER = /^bearer +(\S+) *$/i;
/** As Twinkle's clients may write it. */
const BARE = /^(?:bearer +)?(?!bearer *$)(\S+) *$/i;

/** The key that a request shows: `Twinkle-Authorization`, `Authorization: Bearer`, else `X-API-Key`; null without one. */
function shownKey(headers: IncomingHttpHeaders): string | null {
  const { authorization, 'twinkle-authorization': twinkle } = headers;
  if (typeof twinkle === 'string') {
    const key = BARE.exec(twinkle)?.[1];
    if (key !== undefined) return key;
  }
  if (authorization !== undefined) {
    const key = BEARER.exec(authorization)?.[1];
    if (key !== undefined) return key;
  }
  const header = headers['x-api-key'];
  return typeof header === 'string' && header !== '' ? header : null;
}

/** Headers → tenant (16 hex digits of the key's hash, or `local`). Throws `UNAUTHORIZED`. */
export type Authenticate = (headers: IncomingHttpHeaders) => string;

/** The check for one configuration. */
export function authenticator(auth: AuthConfig): Authenticate {
  if (auth.mode === 'off') return () => LOCAL_TENANT;
  const hash = (key: string): Buffer => createHash('sha256').update(key).digest();
  const tenant = (digest: Buffer): string => digest.toString('hex', 0, 8);
  if (auth.mode === 'anonymous') {
    return (headers) => {
      const key = shownKey(headers);
      return key === null ? LOCAL_TENANT : tenant(hash(key));
    };
  }
  const accepted = auth.keyHashes.map((hex) => Buffer.from(hex, 'hex'));
  return (headers) => {
    const key = shownKey(headers);
    if (key === null) {
      throw new TwinkleError(
        'UNAUTHORIZED',
        'This server needs an API key: send it as "Authorization: Bearer <key>" or as "X-API-Key: <key>".',
      );
    }
    const digest = hash(key);
    let matches = 0;
    // Every hash is compared, so that time tells nothing about which one was near.
    for (const candidate of accepted) {
      if (candidate.length === digest.length && timingSafeEqual(candidate, digest)) matches += 1;
    }
    if (matches === 0) {
      throw new TwinkleError(
        'UNAUTHORIZED',
        'The API key is not one of this server: check it, or ask whoever started it.',
      );
    }
    return tenant(digest);
  };
}
