/** Placement groups as programs in Node use them: resources that are reserved together. */
import { TwinkleError } from '../errors.js';
import type { GroupFound } from '../protocol/work.js';
import type { WorkClient } from './client.js';

/** What one bundle reserves: `{ CPU: 1, GPU: 2 }`. */
export type Bundle = Readonly<Record<string, number>>;
/** How bundles are spread over nodes. */
export type PlacementStrategy = 'PACK' | 'SPREAD' | 'STRICT_PACK' | 'STRICT_SPREAD';

/** Options of a placement group. */
export interface PlacementGroupOptions {
  /** By which others find it, in the runtime's namespace. */
  readonly name?: string;
  /** `detached`: it outlives this program. */
  readonly lifetime?: 'detached';
}

/** Resources that are reserved together. Removed when it is disposed of, or, unless it is detached, when its program ends. */
export class PlacementGroup implements AsyncDisposable {
  readonly #client: WorkClient;
  readonly id: string;
  readonly bundles: readonly Bundle[];

  /** For the runtime only. */
  constructor(client: WorkClient, { id, bundles }: GroupFound) {
    this.#client = client;
    this.id = id;
    this.bundles = bundles;
  }

  /** Resolves when all of it is reserved. Throws `GROUP_REMOVED`, the signal's reason. */
  async ready(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options;
    signal?.throwIfAborted();
    try {
      await this.#client.link.ask('group.ready', { id: this.id }, [], signal);
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /** Give it back: what runs in it ends. */
  async remove(): Promise<void> {
    await this.#client.link.ask('group.remove', { id: this.id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove().catch((error: unknown) => {
      // Somebody else was first, or the head has ended: it is gone.
      const code = error instanceof TwinkleError ? error.code : '';
      if (code !== 'GROUP_NOT_FOUND' && code !== 'GROUP_REMOVED' && code !== 'HEAD_UNREACHABLE') throw error;
    });
  }
}
