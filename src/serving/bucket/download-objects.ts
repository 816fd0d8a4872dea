/** Objects of a bucket into files of a folder, each checked by its size. Knows nothing of adapters, tries or time limits. */
import { createWriteStream } from 'node:fs';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { AdapterObject } from './adapter-objects.js';
import { FetchFailure } from './fetch-failure.js';
import type { ObjectStore } from './s3-objects.js';

/**
 * Fetch what is not there yet.
 * @param done file → etag of what an earlier try brought whole; grows as files come
 */
export async function downloadObjects(
  store: ObjectStore,
  bucket: string,
  objects: readonly AdapterObject[],
  folder: string,
  done: Map<string, string>,
  signal: AbortSignal,
): Promise<void> {
  const wanted = new Set(objects.map(({ file }) => file));
  for (const file of done.keys()) if (!wanted.has(file)) await rm(join(folder, file), { force: true });
  for (const object of objects) {
    const { etag, file, size } = object;
    if (done.get(file) === etag) continue;
    const path = join(folder, file);
    const body = await store.read(bucket, object, signal);
    await pipeline(body, createWriteStream(path, { mode: 0o600 }), { signal });
    const { size: had } = await stat(path);
    if (had !== size) throw new FetchFailure('NOT_READY', `${had} of ${size} bytes of ${file} came`, true);
    done.set(file, etag);
  }
}
