/** `s3://bucket/prefix`, read and judged. Pure: whether there is such a bucket is for others to find out. */

/** A place in a bucket. */
export interface BucketPlace {
  readonly bucket: string;
  /** Without slashes at its ends; empty: the whole bucket. */
  readonly prefix: string;
}

const SCHEME = /^s3:\/\//i;
/** AWS's rule for new buckets, and what stores that speak its protocol allow beyond it. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
const MAX_KEY_BYTES = 900;

export function isBucketUrl(text: string): boolean {
  return SCHEME.test(text);
}

/** Null: nobody can mean that: no name of a bucket, or a prefix with empty parts, `.`, `..` or control characters. */
export function readBucketUrl(url: string): BucketPlace | null {
  const [bucket = '', ...parts] = url.replace(SCHEME, '').split('/');
  if (parts.at(-1) === '') parts.pop();
  const prefix = parts.join('/');
  const sound = parts.every((part) => part !== '' && part !== '.' && part !== '..');
  if (!isBucketUrl(url) || !BUCKET.test(bucket) || !sound) return null;
  if (/[\p{Cc}\\]/u.test(prefix) || Buffer.byteLength(prefix) > MAX_KEY_BYTES) return null;
  return { bucket, prefix };
}

/** The place of that name below. `name` must be one plain segment. */
export function placeBelow({ bucket, prefix }: BucketPlace, name: string): BucketPlace {
  return { bucket, prefix: prefix === '' ? name : `${prefix}/${name}` };
}
