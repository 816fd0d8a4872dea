/** A head's one store of adapters that come from buckets, as each of its models uses it. Wiring only. */
import { LORA_DEFAULTS } from '../config/llm-config.js';
import type { ModelConfig } from '../config/types.js';
import type { Logger } from '../observability/logger.js';
import { AdapterStore } from '../serving/bucket/adapter-store.js';
import { BucketAdapters } from '../serving/bucket/bucket-adapters.js';
import { adaptersFolder } from './adapters-folder.js';
import { withFetchedModules } from './fixed-adapters.js';

export class ModelBuckets implements AsyncDisposable {
  readonly #store: AdapterStore;

  /** Nothing is made or opened before an adapter is asked for. */
  constructor(home: string, instance: string, log: Logger) {
    this.#store = new AdapterStore(adaptersFolder(home, instance), (place, { cause, message }) =>
      log.warn({ ...place, reason: message, error: String(cause ?? '') }, 'adapter_fetch_failed'),
    );
  }

  /** With the limits of the model's `lora_config`. */
  of({ lora }: ModelConfig): BucketAdapters {
    const { downloadTimeoutMs, maxDownloadTries } = lora ?? LORA_DEFAULTS;
    return new BucketAdapters(this.#store, { timeoutMs: downloadTimeoutMs, tries: maxDownloadTries });
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
    await this.#store[Symbol.asyncDispose]();
  }
}
