/** Which of the objects at a place make an adapter, and which version of it they are. Pure. */
import { createHash } from 'node:crypto';
import type { BucketPlace } from '../../util/bucket-url.js';
import { FetchFailure } from './fetch-failure.js';
import type { StoredObject } from './s3-objects.js';

/** An object and the file that it becomes. */
export interface AdapterObject extends StoredObject {
  /** A plain file name. */
  readonly file: string;
}

const MARK = 'adapter_config.json';
/** Read by vLLM and by tokenizers beside the weights. Pickles (`.bin`, `.pt`) are not fetched: loading one runs its code. */
const BESIDE = new Set([
  ...[MARK, 'config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'],
  ...['vocab.json', 'vocab.txt', 'merges.txt', 'tokenizer.model', 'spiece.model', 'chat_template.jinja'],
]);
const WEIGHTS = /^[A-Za-z0-9_][A-Za-z0-9_.+=@-]{0,199}\.safetensors$/;
/** The biggest adapters known, of every layer of models of a terabyte, take a few GiB. */
const MAX_BYTES = 16 * 2 ** 30;
const MAX_FILES = 256;

/**
 * The files of the adapter at `place`.
 * @throws FetchFailure when there is no adapter, when a key leads elsewhere, and when it is beyond what an adapter may take
 */
export function adapterObjects(place: BucketPlace, listed: readonly StoredObject[]): readonly AdapterObject[] {
  const start = place.prefix === '' ? '' : `${place.prefix}/`;
  const objects: AdapterObject[] = [];
  for (const object of listed) {
    const file = object.key.slice(start.length);
    if (!object.key.startsWith(start) || file.split(/[/\\]/).includes('..') || /\p{Cc}/u.test(file))
      throw new FetchFailure('INVALID_REQUEST', 'the bucket holds an object there whose key leads elsewhere', false);
    if (BESIDE.has(file) || (WEIGHTS.test(file) && !file.includes('..'))) objects.push({ ...object, file });
  }
  const none = (why: string): FetchFailure => new FetchFailure('MODEL_NOT_FOUND', why, false);
  if (!objects.some(({ file }) => file === MARK)) throw none(`the bucket has no ${MARK} there`);
  if (!objects.some(({ file }) => WEIGHTS.test(file))) throw none('the bucket has no weights (*.safetensors) there');
  const bytes = objects.reduce((sum, { size }) => sum + size, 0);
  if (objects.length > MAX_FILES || !(bytes <= MAX_BYTES)) {
    const why = `its ${objects.length} files take ${bytes} bytes, and an adapter may have ${MAX_FILES} files and ${MAX_BYTES} bytes`;
    throw new FetchFailure('INVALID_REQUEST', why, false);
  }
  return objects;
}

/** The same for the same objects at the same place, and for no others. */
export function adapterVersion({ bucket, prefix }: BucketPlace, objects: readonly AdapterObject[]): string {
  const facts = objects.map(({ file, etag, size }) => [file, etag, size]).sort();
  return createHash('sha256')
    .update(JSON.stringify([bucket, prefix, facts]))
    .digest('hex')
    .slice(0, 16);
}
