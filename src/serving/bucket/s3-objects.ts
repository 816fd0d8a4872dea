/** The client of AWS's SDK, which is installed only where somebody needs it. Lists and reads objects, and `s3-writes.ts` writes them; neither knows what they are. */
import type { Readable } from 'node:stream';
import { TwinkleError } from '../../errors.js';
import type { BucketPlace } from '../../util/bucket-url.js';
import { FetchFailure } from './fetch-failure.js';
import type { S3Settings } from './s3-settings.js';
import { S3Writes } from './s3-writes.js';

export interface StoredObject {
  readonly key: string;
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}

export type ReadObject = Pick<StoredObject, 'key'> & { readonly etag: string | null };

/** What is needed of a store of objects. All calls reject with the store's own errors. */
export interface ObjectStore {
  /** Objects right below the place, as below a folder; what lies deeper is left out. */
  list(place: BucketPlace, signal: AbortSignal): Promise<readonly StoredObject[]>;
  /** The bytes of one object as it was listed; rejects when it is another by now. Without an etag: as it is. */
  read(bucket: string, object: ReadObject, signal: AbortSignal): Promise<Readable>;
  close(): void;
}

/** An object as it lies below a place, however deep. */
export interface DeepObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Unix ms, by the store's clock. */
  readonly modified: number;
}

/** A store that is written, too. */
export interface WritableStore extends ObjectStore {
  readonly writes: ObjectWrites;
  /** All objects below the place. */
  listDeep(place: BucketPlace, signal: AbortSignal): Promise<readonly DeepObject[]>;
}

/** All reject with the store's own errors. Calls may be made again: what is there is replaced. */
export interface ObjectWrites {
  /** So many bytes of a file from `from` on. */
  put(bucket: string, key: string, part: FilePart, signal: AbortSignal): Promise<void>;
  putText(bucket: string, key: string, text: string, signal: AbortSignal): Promise<void>;
  /** Within the store. */
  copy(bucket: string, from: string, to: string, signal: AbortSignal): Promise<void>;
  /** One that is not there is fine. */
  remove(bucket: string, key: string, signal: AbortSignal): Promise<void>;
  /** Begin an object of several parts, which is there once it is completed. */
  begin(bucket: string, key: string, signal: AbortSignal): Promise<PartedObject>;
}

/** Part of a file on this machine. In bytes. */
export interface FilePart {
  readonly path: string;
  readonly from: number;
  readonly bytes: number;
}

/** Parts have numbers from 1 on. All but the last have 5 MiB at least and 5 GiB at most. */
export interface PartedObject {
  put(number: number, part: FilePart, signal: AbortSignal): Promise<void>;
  /** Bytes of another object of the bucket. */
  copy(number: number, from: string, part: Pick<FilePart, 'from' | 'bytes'>, signal: AbortSignal): Promise<void>;
  complete(signal: AbortSignal): Promise<void>;
  /** It will not be. */
  abort(signal: AbortSignal): Promise<void>;
}

export type Sdk = typeof import('@aws-sdk/client-s3');
export type Client = InstanceType<Sdk['S3Client']>;

const MAX_LISTED = 10_000;
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };
const CONNECT_MS = 10_000;
/** A connection on which nothing moves for so long is cut. */
const SILENCE_MS = 60_000;

/**
 * A client with credentials, region and endpoint of the settings and, where they say nothing, of the SDK's own chain (AWS_* variables of this
 * process, files, roles).
 * @param load imports the SDK
 * @throws `CONFIG_INVALID` when it is not installed
 */
export async function openS3(
  settings: S3Settings = {},
  load: () => Promise<Sdk> = () => import('@aws-sdk/client-s3'),
): Promise<WritableStore> {
  const sdk = await load().catch((cause: unknown) => {
    throw new TwinkleError(
      'CONFIG_INVALID',
      's3:// needs the package @aws-sdk/client-s3, which is not installed; run: npm install @aws-sdk/client-s3',
      { cause },
    );
  });
  const { AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3 } = process.env;
  const client = new sdk.S3Client({
    ...settings,
    // Buckets are seldom subdomains of a host that somebody named.
    forcePathStyle: Boolean(settings.endpoint || AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL),
    followRegionRedirects: true,
    // Tries are counted by whoever asks.
    maxAttempts: 1,
    // Not all that speak S3 take checksums behind a body of a length that was said before.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    logger: SILENT, // without one it warns on the console of each upload that fails
    requestHandler: { connectionTimeout: CONNECT_MS, socketTimeout: SILENCE_MS },
  });
  return {
    writes: new S3Writes(sdk, client),
    list: (place, signal) => listAll(sdk, client, place, signal),
    listDeep: (place, signal) => listDeep(sdk, client, place, signal),
    async read(bucket, { key, etag }, signal) {
      const command = new sdk.GetObjectCommand({ Bucket: bucket, Key: key, IfMatch: etag ?? undefined });
      const { Body } = await client.send(command, { abortSignal: signal });
      return Body as Readable;
    },
    close: () => client.destroy(),
  };
}

async function listAll(sdk: Sdk, client: Client, place: BucketPlace, signal: AbortSignal): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  for await (const page of pages(sdk, client, place, '/', signal)) {
    for (const { ETag: etag, Key: key, Size: size } of page) {
      if (key !== undefined && etag !== undefined && size !== undefined) found.push({ key, etag, size });
    }
    if (found.length > MAX_LISTED)
      throw new FetchFailure('INVALID_REQUEST', `more than ${MAX_LISTED} objects lie there: that is no adapter`, false);
  }
  return found;
}

async function listDeep(sdk: Sdk, client: Client, place: BucketPlace, signal: AbortSignal): Promise<DeepObject[]> {
  const found: DeepObject[] = [];
  for await (const page of pages(sdk, client, place, undefined, signal)) {
    for (const { Key: key, LastModified: modified, Size: size } of page) {
      if (key !== undefined && size !== undefined) found.push({ key, size, modified: modified?.getTime() ?? 0 });
    }
  }
  return found;
}

async function* pages(
  sdk: Sdk,
  client: Client,
  { bucket, prefix }: BucketPlace,
  delimiter: string | undefined,
  signal: AbortSignal,
) {
  let token: string | undefined;
  do {
    const command = new sdk.ListObjectsV2Command({
      Bucket: bucket,
      Prefix: prefix === '' ? '' : `${prefix}/`,
      Delimiter: delimiter,
      ContinuationToken: token,
    });
    const page = await client.send(command, { abortSignal: signal });
    yield page.Contents ?? [];
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
}
