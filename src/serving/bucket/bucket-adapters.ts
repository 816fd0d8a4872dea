/** The adapters of one model that come from buckets: by their URLs, and by their names below the dynamic loading path. */
import { TwinkleError } from '../../errors.js';
import { type BucketPlace, isBucketUrl, placeBelow, readBucketUrl } from '../../util/bucket-url.js';
import { AdapterFolder } from '../adapter-folder.js';
import { isFolderName } from '../adapter-names.js';
import { type AdapterFiles, type AdapterSource, lasting } from '../adapter-source.js';
import type { AdapterStore, FetchPolicy } from './adapter-store.js';
import { FetchFailure } from './fetch-failure.js';

export class BucketAdapters {
  constructor(
    readonly store: AdapterStore,
    readonly policy: FetchPolicy,
  ) {}

  /**
   * What somebody named by path: `s3://bucket/prefix` is fetched, anything else is the engine's to find.
   * @throws `INVALID_REQUEST` for what is no URL of a bucket, `MODEL_NOT_FOUND`, `NOT_READY` when the bucket cannot be read
   */
  async localise(name: string, path: string, param = 'lora_path'): Promise<AdapterFiles> {
    if (!isBucketUrl(path)) return lasting(path);
    const place = readBucketUrl(path);
    if (place === null) throw badUrl(path, param);
    return { ...(await this.#fetch(place, name, param)), origin: path };
  }

  /** The source for a configured dynamic loading path: a folder, or a bucket. */
  source(path: string): AdapterSource {
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(path)?.[1];
    if (scheme === undefined) return new AdapterFolder(path);
    if (!isBucketUrl(path)) return elsewhere(scheme);
    const root = readBucketUrl(path);
    if (root === null) throw badUrl(path, 'dynamic_lora_loading_path');
    return {
      has: isFolderName,
      fetch: async (name) => {
        if (!isFolderName(name)) throw notThere(name, 'it is no plain folder name');
        const files = await this.#fetch(placeBelow(root, name), name, 'model');
        return { ...files, origin: `${path.replace(/\/$/, '')}/${name}` };
      },
    };
  }

  async #fetch(place: BucketPlace, name: string, param: string): Promise<AdapterFiles> {
    try {
      return await this.store.fetch(place, this.policy);
    } catch (error) {
      throw error instanceof FetchFailure ? error.of(name, param) : error;
    }
  }
}

function badUrl(path: string, param: string): TwinkleError {
  const shown = JSON.stringify(path.slice(0, 200));
  const rule = 'leave out empty parts, `.` and `..`';
  const message = `expected s3://bucket/prefix for \`${param}\` but received ${shown}; ${rule}`;
  return new TwinkleError('INVALID_REQUEST', message, { param });
}

function notThere(name: string, why: string): TwinkleError {
  const message = `There is no LoRA adapter \`${name.slice(0, 64)}\`: ${why}.`;
  return new TwinkleError('MODEL_NOT_FOUND', message, { param: 'model' });
}

/** A store that this version has no client for. The base model is served all the same; who asks for an adapter hears what to do. */
function elsewhere(scheme: string): AdapterSource {
  const why = `adapters are not fetched from ${scheme}:// by this version`;
  const advice = 'copy them into a folder, mount it, or use s3://, and set dynamic_lora_loading_path to that';
  return { has: isFolderName, fetch: (name) => Promise.reject(notThere(name, `${why}; ${advice}`)) };
}
