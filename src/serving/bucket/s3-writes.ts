/** Objects of a bucket as they are written and removed, by AWS's SDK. Knows nothing of tries, of how many go at a time, or of what they are. */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import type { Client, FilePart, ObjectWrites, PartedObject, Sdk } from './s3-objects.js';

export class S3Writes implements ObjectWrites {
  constructor(
    private readonly sdk: Sdk,
    private readonly client: Client,
  ) {}

  async put(bucket: string, key: string, part: FilePart, signal: AbortSignal): Promise<void> {
    await withBody(part, async (body) => {
      const command = new this.sdk.PutObjectCommand({ Bucket: bucket, Key: key, ...body });
      await this.client.send(command, { abortSignal: signal });
    });
  }

  async putText(bucket: string, key: string, text: string, signal: AbortSignal): Promise<void> {
    const command = new this.sdk.PutObjectCommand({ Bucket: bucket, Key: key, Body: text });
    await this.client.send(command, { abortSignal: signal });
  }

  async copy(bucket: string, from: string, to: string, signal: AbortSignal): Promise<void> {
    const command = new this.sdk.CopyObjectCommand({ Bucket: bucket, Key: to, CopySource: sourceOf(bucket, from) });
    await this.client.send(command, { abortSignal: signal });
  }

  async remove(bucket: string, key: string, signal: AbortSignal): Promise<void> {
    await this.client.send(new this.sdk.DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: signal });
  }

  async begin(bucket: string, key: string, signal: AbortSignal): Promise<PartedObject> {
    const { client, sdk } = this;
    const begun = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket: bucket, Key: key }), {
      abortSignal: signal,
    });
    const upload = { Bucket: bucket, Key: key, UploadId: begun.UploadId };
    const tags = new Map<number, string | undefined>();
    return {
      async put(number, part, abortSignal) {
        await withBody(part, async (body) => {
          const command = new sdk.UploadPartCommand({ ...upload, PartNumber: number, ...body });
          tags.set(number, (await client.send(command, { abortSignal })).ETag);
        });
      },
      async copy(number, from, { bytes, from: first }, abortSignal) {
        const range = { CopySource: sourceOf(bucket, from), CopySourceRange: `bytes=${first}-${first + bytes - 1}` };
        const command = new sdk.UploadPartCopyCommand({ ...upload, PartNumber: number, ...range });
        tags.set(number, (await client.send(command, { abortSignal })).CopyPartResult?.ETag);
      },
      async complete(abortSignal) {
        const Parts = [...tags].sort(([a], [b]) => a - b).map(([PartNumber, ETag]) => ({ PartNumber, ETag }));
        await client.send(new sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }), {
          abortSignal,
        });
      },
      async abort(abortSignal) {
        await client.send(new sdk.AbortMultipartUploadCommand(upload), { abortSignal });
      },
    };
  }
}

/** As a header has it. */
function sourceOf(bucket: string, key: string): string {
  return `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

async function withBody(
  { bytes, from, path }: FilePart,
  send: (body: { Body: Readable; ContentLength: number }) => Promise<void>,
): Promise<void> {
  const body = bytes === 0 ? Readable.from([]) : createReadStream(path, { start: from, end: from + bytes - 1 });
  try {
    await send({ Body: body, ContentLength: bytes });
  } finally {
    body.destroy();
  }
}
