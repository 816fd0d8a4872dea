/** A head's stores of adapters that come from buckets, as each of its models uses them: one for all that see S3 alike. Wiring only. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LORA_DEFAULTS } from '../config/llm-config.js';
import type { ModelConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import { AdapterStore } from '../serving/bucket/adapter-store.js';
import { BucketAdapters } from '../serving/bucket/bucket-adapters.js';
import { openS3 } from '../serving/bucket/s3-objects.js';
import { readS3Settings } from '../serving/bucket/s3-settings.js';
import { adaptersFolder } from './adapters-folder.js';
import { withFetchedModules } from './fixed-adapters.js';

export class ModelBuckets implements AsyncDisposable {
  readonly #folder: string;
  readonly #log: Logger;
  /** What a model says of S3 → its store. What one may read another may not: neither clients nor downloads are shared. */
  readonly #stores = new Map<string, AdapterStore>();

  /** Nothing is made or opened before an adapter is asked for. */
  constructor(home: string, instance: string, log: Logger) {
    this.#folder = adaptersFolder(home, instance);
    this.#log = log;
  }

  /** With the limits of the model's `lora_config`, and its own variables over the server's. */
  of({ envVars, lora }: ModelConfig): BucketAdapters {
    const { downloadTimeoutMs, maxDownloadTries } = lora ?? LORA_DEFAULTS;
    return new BucketAdapters(this.#store(envVars), { timeoutMs: downloadTimeoutMs, tries: maxDownloadTries });
  }

  /**
   * The models, with what their engines load at each start on this machine.
   * @param signal ends downloads
   */
  async fetched(models: readonly ModelConfig[], signal?: AbortSignal): Promise<readonly ModelConfig[]> {
    const end = (): void => void this[Symbol.asyncDispose]().catch(() => {}); // the head ends it again, and hears
    signal?.addEventListener('abort', end);
    try {
      signal?.throwIfAborted();
      return await Promise.all(models.map((model) => withFetchedModules(model, this.of(model))));
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  /** Ends downloads and removes what was fetched. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#stores.values()].map((store) => store[Symbol.asyncDispose]()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  #store(envVars: ModelConfig['envVars']): AdapterStore {
    const aws = Object.entries(envVars).filter(([name, value]) => name.startsWith('AWS_') && value !== '');
    const key = JSON.stringify(aws.sort());
    const known = this.#stores.get(key);
    if (known !== undefined) return known;
    const store = new AdapterStore(
      join(this.#folder, String(this.#stores.size)),
      (place, { cause, message }) =>
        this.#log.warn({ ...place, reason: message, error: String(cause ?? '') }, 'adapter_fetch_failed'),
      // Read when it is needed: variables of a model that fetches nothing are its ranks' alone.
      async () => await openS3(readS3Settings(envVars, process.env)),
    );
    this.#stores.set(key, store);
    return store;
  }
}
