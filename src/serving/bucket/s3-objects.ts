/** The one file that knows AWS's SDK, which is installed only where somebody needs it. Lists and reads objects; knows nothing of adapters. */
import type { Readable } from 'node:stream';
import { TwinkleError } from '../../errors.js';
import type { BucketPlace } from '../../util/bucket-url.js';
import { FetchFailure } from './fetch-failure.js';
import type { S3Settings } from './s3-settings.js';

export interface StoredObject {
  readonly key: string;
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

/** What is needed of a store of objects. All calls reject with the store's own errors. */
export interface ObjectStore {
  /** Objects right below the place, as below a folder; what lies deeper is left out. */
  list(place: BucketPlace, signal: AbortSignal): Promise<readonly StoredObject[]>;
  /** The bytes of one object as it was listed; rejects when it is another by now. */
  read(bucket: string, object: StoredObject, signal: AbortSignal): Promise<Readable>;
  close(): void;
}

type Sdk = typeof import('@aws-sdk/client-s3');

const MAX_LISTED = 10_000;

/**
 * A client with credentials, region and endpoint of the settings and, where they say nothing, of the SDK's own chain (AWS_* variables of this
 * process, files, roles).
 * @param load imports the SDK
 * @throws `CONFIG_INVALID` when it is not installed
 */
export async function openS3(
  settings: S3Settings = {},
  load: () => Promise<Sdk> = () => import('@aws-sdk/client-s3'),
): Promise<ObjectStore> {
  const sdk = await load().catch((cause: unknown) => {
    throw new TwinkleError(
      'CONFIG_INVALID',
      'adapters from s3:// need the package @aws-sdk/client-s3, which is not installed; run: npm install @aws-sdk/client-s3',
      { cause },
    );
  });
  const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
  const client = new sdk.S3Client({
    ...settings,
    // Buckets are seldom subdomains of a host that somebody named.
    forcePathStyle: Boolean(settings.endpoint || AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL),
    followRegionRedirects: true,
    // Tries are counted by whoever downloads.
    maxAttempts: 1,
  });
  return {
    list: (place, signal) => listAll(sdk, client, place, signal),
    async read(bucket, { key, etag }, signal) {
      const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key, IfMatch: etag });
      const { Body } = await client.send(command, { abortSignal: signal });
      return Body as Readable;
    },
    close: () => client.destroy(),
  };
}

async function listAll(
  sdk: Sdk,
  client: InstanceType<Sdk['S3Client']>,
  { bucket, prefix }: BucketPlace,
  signal: AbortSignal,
): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  let token: string | undefined;
  do {
    const command = new sdk.ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix === '' ? '' : `${prefix}/`,
      Delimiter: '/',
      ContinuationToken: token,
    });
    const page = await client.send(command, { abortSignal: signal });
    for (const { Key: key, ETag: etag, Size: size } of page.Contents ?? []) {
      if (key !== undefined && etag !== undefined && size !== undefined) found.push({ key, etag, size });
    }
    if (found.length > MAX_LISTED)
      throw new FetchFailure('INVALID_REQUEST', `more than ${MAX_LISTED} objects lie there: that is no adapter`, false);
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
  return found;
}
