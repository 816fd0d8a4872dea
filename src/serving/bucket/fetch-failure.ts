/** Why an adapter did not come from a bucket: what a store's errors mean, in words that carry no secret, address or signed URL. Pure. */
import { type ErrorCode, TwinkleError } from '../../errors.js';

/** Knows no adapter's name: several requests may wait for one download. */
export class FetchFailure extends Error {
  override readonly name = 'FetchFailure';

  /**
   * @param why half a sentence, for whoever asked for the adapter
   * @param again whether another try may go better
   * @param cause in words, for the log: a store's errors carry requests with their signatures and tokens
   */
  constructor(
    readonly code: ErrorCode,
    readonly why: string,
    readonly again: boolean,
    cause?: string,
  ) {
    super(why, cause === undefined ? undefined : { cause });
  }

  /** The error for a request that names the adapter. */
  of(name: string, param: string): TwinkleError {
    const shown = `\`${name.slice(0, 64)}\``;
    const start = this.code === 'MODEL_NOT_FOUND' ? 'There is no LoRA adapter' : 'Could not fetch LoRA adapter';
    const { code, again, why } = this;
    return new TwinkleError(code, `${start} ${shown}: ${why}.`, {
      param,
      cause: this,
      ...(again ? { retryAfterMs: 1000 } : {}),
    });
  }
}

const CREDENTIALS = [
  ...[
    'CredentialsProviderError',
    'InvalidAccessKeyId',
    'SignatureDoesNotMatch',
    'ExpiredToken',
    'ExpiredTokenException',
  ],
  ...['InvalidToken', 'TokenProviderError', 'TokenRefreshRequired', 'RequestTimeTooSkewed'],
];
const REGION = ['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException'];
const DENIED = ['AccessDenied', 'AllAccessDisabled', 'Forbidden', 'AccountProblem'];
const DISK: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk of the home folder is full',
  EDQUOT: 'the quota of the home folder’s disk is used up',
  EACCES: 'this server may not write to its home folder',
  EROFS: 'the home folder’s file system is read-only',
};

/** What an error of the SDK, of the network or of the disk means. What nobody knows is worth another try. */
export function fetchFailure(thrown: unknown, tried: 'read' | 'written' = 'read'): FetchFailure {
  if (thrown instanceof FetchFailure) return thrown;
  const failed = (code: ErrorCode, why: string, again = false): FetchFailure =>
    new FetchFailure(code, why, again, String(thrown));
  const { name = '', code, message } = thrown as { name?: string; code?: unknown; message?: unknown };
  const status = (thrown as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  if (name === 'NoSuchBucket') return failed('MODEL_NOT_FOUND', 'the bucket does not exist');
  if (CREDENTIALS.includes(name))
    return failed('NOT_READY', `the server’s credentials for the bucket are missing or not accepted (${name})`);
  if (REGION.includes(name) || status === 301 || message === 'Region is missing')
    return failed('NOT_READY', 'the bucket is in another region, or none is set: its operator sets AWS_REGION');
  if (DENIED.includes(name) || status === 401 || status === 403)
    return failed('MODEL_NOT_FOUND', 'the bucket denies this server access to it');
  if (typeof code === 'string' && Object.hasOwn(DISK, code)) return failed('NOT_READY', DISK[code] ?? '');
  // Deleted or replaced since it was listed.
  if (tried === 'read' && (name === 'NoSuchKey' || status === 404 || status === 412))
    return failed('NOT_READY', 'its objects changed while they were fetched', true);
  const label = [code, name].find((word) => typeof word === 'string' && /^\w{3,64}$/.test(word) && word !== 'Error');
  const said = [label, status].filter((word) => word !== undefined).join(', status ');
  return failed('NOT_READY', `the bucket could not be ${tried}${said === '' ? '' : ` (${said})`}`, true);
}
