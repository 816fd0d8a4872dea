/**
 * LoRA adapters of one model that requests name: loaded and unloaded by operators, loaded on first use where a source has them, and evicted
 * when nobody uses them. How replicas come to have them is `adapter-replicas.ts`'s to know.
 */
import { TwinkleError } from '../errors.js';
import { AdapterBook, type AdapterLease, type AdapterRecord } from './adapter-book.js';
import { loadRefusal, unloadRefusal } from './adapter-commands.js';
import { checkAdapterName } from './adapter-names.js';
import { type AdaptedReplicas, AdapterReplicas } from './adapter-replicas.js';
import { type AdapterFiles, type AdapterSource, lasting } from './adapter-source.js';
import type { OpenReplica } from './broadcast.js';
import type { Upkeep } from './prepared-gang.js';
import type { AdapterRequest, ServedAdapter } from './types/control.js';

export interface ModelAdaptersOptions extends AdaptedReplicas {
  /** Names of the model: no adapter may take one. */
  readonly models: readonly string[];
  /** Adapters that are loaded on first use; null: none are. */
  readonly source: AdapterSource | null;
  /** The files of an adapter that somebody named by its path. Default: the engine finds it there. */
  localise?(name: string, path: string): Promise<AdapterFiles>;
  /** Ray's `max_num_adapters_per_replica`: how many a replica holds at most, pinned ones included. */
  readonly max: number;
  /** `--lora-modules`: adapters that each engine loads by itself at its start. */
  readonly fixed?: readonly { readonly name: string; readonly path: string }[];
}

/** An unload waits so long for the requests that use the adapter; vLLM lets those that run go on even then. */
const UNLOAD_GRACE_MS = 10_000;

export class ModelAdapters implements Upkeep {
  readonly #book: AdapterBook;
  readonly #replicas: AdapterReplicas;
  /** First uses under way, by name: all requests for an adapter share one load. */
  readonly #loading = new Map<string, Promise<void>>();
  /** Pinned adapters that a replica refused at its start: name → why. */
  readonly #broken = new Map<string, TwinkleError>();

  /** Throws `CONFIG_INVALID` for more fixed adapters than a replica may hold, `INVALID_REQUEST` for a name that none may have. */
  constructor(readonly options: ModelAdaptersOptions) {
    const { fixed = [], max, models } = options;
    if (fixed.length > max) {
      throw new TwinkleError(
        'CONFIG_INVALID',
        `expected at most ${max} adapters (\`max_num_adapters_per_replica\`) but ${fixed.length} are to be loaded at the start; raise it`,
      );
    }
    for (const { name } of fixed) checkAdapterName(name, models);
    this.#book = new AdapterBook(max, new Map(fixed.map(({ name, path }) => [name, path])));
    this.#replicas = new AdapterReplicas(this.#book, options, {
      makeRoom: () => this.#makeRoom(),
      refused: ({ name, pinned }, answer) => {
        if (pinned) this.#broken.set(name, loadRefusal(name, [answer]));
      },
    });
  }

  list(): readonly ServedAdapter[] {
    return this.#book.list();
  }

  /** Whether requests may name it: it is loaded, or would be on first use. */
  has(name: string): boolean {
    return this.#book.get(name) !== undefined || this.#broken.has(name) || this.options.source?.has(name) === true;
  }

  /** Use a loaded adapter; null when it is not loaded: then {@link use} loads it. */
  lease(name: string): AdapterLease | null {
    return this.#book.lease(name);
  }

  /** Use an adapter, loaded first where needed. Throws as {@link load}, and `MODEL_NOT_FOUND`. */
  async use(name: string): Promise<AdapterLease> {
    for (;;) {
      const lease = this.#book.lease(name);
      if (lease !== null) return lease;
      await this.#firstUse(name);
    }
  }

  /**
   * Load on all replicas, or on none, and pin it.
   * @throws `INVALID_REQUEST` with the engine's words, or when it is loaded already; `OVERLOADED` when as many as may be are in use;
   *   `NOT_READY` when no replica takes requests
   */
  async load(request: AdapterRequest): Promise<void> {
    const { name, inPlace } = request;
    checkAdapterName(name, this.options.models);
    await this.#replicas.inTurn(name, async () => {
      if (this.#book.get(name) !== undefined && !inPlace) {
        throw new TwinkleError(
          'INVALID_REQUEST',
          `LoRA adapter \`${name}\` is loaded already: unload it first, or say \`load_inplace\` to replace its weights.`,
          { param: 'lora_name' },
        );
      }
      await this.#load(name, request.path, { is3d: request.is3d, pinned: true, inPlace });
    });
  }

  /**
   * Requests may not use it from now on; when those that do are over, or after 10 s, the replicas forget it.
   * @throws `MODEL_NOT_FOUND` when it is not loaded; `ENGINE_ERROR` with what each replica said that did not do it
   */
  async unload(name: string): Promise<void> {
    await this.#replicas.inTurn(name, async () => {
      const record = this.#book.get(name);
      if (record === undefined && !this.#broken.delete(name)) {
        throw new TwinkleError(
          'MODEL_NOT_FOUND',
          `LoRA adapter \`${name}\` is not loaded: GET /v1/models lists those that are.`,
          {
            param: 'lora_name',
          },
        );
      }
      if (record === undefined) return;
      this.#book.remove(name);
      await this.#idle(record);
      const refused = await this.#replicas.forget(name);
      if (refused.length > 0) throw unloadRefusal(name, refused);
    });
  }

  settled(replica: string, epoch: number): boolean {
    return this.#replicas.settled(replica, epoch);
  }

  async settle(replica: OpenReplica): Promise<void> {
    await this.#replicas.settle(replica);
  }

  #firstUse(name: string): Promise<void> {
    const known = this.#loading.get(name);
    if (known !== undefined) return known;
    const load = this.#loadFirst(name).finally(() => this.#loading.delete(name));
    this.#loading.set(name, load);
    return load;
  }

  async #loadFirst(name: string): Promise<void> {
    const broken = this.#broken.get(name);
    if (broken !== undefined) throw broken;
    // A load by name may be under way: its end is worth waiting for.
    await this.#replicas.inTurn(name, async () => {
      if (this.#book.get(name)?.ready === true) return;
      await this.#load(name, null, { is3d: null, pinned: false, inPlace: false });
    });
  }

  async #files(name: string, path: string | null): Promise<AdapterFiles> {
    const { localise, source } = this.options;
    if (path !== null) return (await localise?.(name, path)) ?? lasting(path);
    if (source !== null) return await source.fetch(name);
    throw new TwinkleError(
      'MODEL_NOT_FOUND',
      `There is no LoRA adapter \`${name}\`, and no folder to load it from: name its \`lora_path\`, or start with a dynamic loading path.`,
      { param: 'lora_path' },
    );
  }

  async #load(
    name: string,
    path: string | null,
    how: { is3d: boolean | null; pinned: boolean; inPlace: boolean },
  ): Promise<void> {
    const lease = await this.#replicas.load({ name, files: await this.#files(name, path), ...how });
    lease.release();
    this.#broken.delete(name);
  }

  #makeRoom(): void {
    const victim = this.#book.victim();
    if (victim === null) return;
    if (victim === undefined) {
      throw new TwinkleError(
        'OVERLOADED',
        `all ${this.#book.max} adapters that a replica may hold are in use or pinned: try again, unload one, or raise \`max_num_adapters_per_replica\``,
        { retryAfterMs: 1000 },
      );
    }
    this.#replicas.evict(victim);
  }

  #idle(record: AdapterRecord): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, UNLOAD_GRACE_MS);
      this.#book.whenIdle(record, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
