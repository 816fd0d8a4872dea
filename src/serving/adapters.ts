/**
 * LoRA adapters of one model, in step on all its replicas: loaded on all or on none, told again to a replica that starts anew, loaded on
 * first use where a source has them, and evicted when nobody uses them. What is where is `adapter-book.ts`'s to know.
 */
import { TwinkleError } from '../errors.js';
import { AdapterBook, type AdapterLease, type AdapterRecord } from './adapter-book.js';
import { loadCommand, loadRefusal, nobodyToLoad, unloadCommand, unloadRefusal } from './adapter-commands.js';
import { checkAdapterName } from './adapter-names.js';
import { type AdapterFiles, type AdapterSource, lasting } from './adapter-source.js';
import { broadcast, broke, type OpenReplica, refusalText, succeeded } from './broadcast.js';
import { KeyedChain } from './keyed-chain.js';
import type { Upkeep } from './prepared-gang.js';
import type { AdapterRequest, ReplicaAnswer, ServedAdapter } from './types/control.js';

export interface ModelAdaptersOptions {
  /** Names of the model: no adapter may take one. */
  readonly models: readonly string[];
  /** Replicas that take requests now. */
  open(): readonly OpenReplica[];
  /** Adapters that are loaded on first use; null: none are. */
  readonly source: AdapterSource | null;
  /** The files of an adapter that somebody named by its path. Default: the engine finds it there. */
  localise?(name: string, path: string): Promise<AdapterFiles>;
  /** Ray's `max_num_adapters_per_replica`: how many a replica holds at most, pinned ones included. */
  readonly max: number;
  /** `--lora-modules`: adapters that each engine loads by itself at its start. */
  readonly fixed?: readonly { readonly name: string; readonly path: string }[];
  /** Whether the engines sleep: loading into memory that is away would break them. */
  asleep?(): boolean;
  /** An adapter was lost: a replica that started anew refused it. */
  lost?(name: string, reason: string): void;
}

/** A big adapter on a slow disk takes a while; what an engine forgets, it forgets at once. */
const LOAD_DEADLINE = { deadlineMs: 120_000 } as const;
const UNLOAD_DEADLINE = { deadlineMs: 15_000 } as const;
/** An unload waits so long for the requests that use the adapter; vLLM lets those that run go on even then. */
const UNLOAD_GRACE_MS = 10_000;

export class ModelAdapters implements Upkeep {
  readonly #book: AdapterBook;
  readonly #chain = new KeyedChain();
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
    await this.#chain.run(name, async () => {
      if (this.#book.get(name) !== undefined && !inPlace) {
        throw new TwinkleError(
          'INVALID_REQUEST',
          `LoRA adapter \`${name}\` is loaded already: unload it first, or say \`load_inplace\` to replace its weights.`,
          { param: 'lora_name' },
        );
      }
      await this.#loadNow(name, await this.#files(name, request.path), request.is3d, true, inPlace);
    });
  }

  /**
   * Requests may not use it from now on; when those that do are over, or after 10 s, the replicas forget it.
   * @throws `MODEL_NOT_FOUND` when it is not loaded; `ENGINE_ERROR` with what each replica said that did not do it
   */
  async unload(name: string): Promise<void> {
    await this.#chain.run(name, async () => {
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
      const refused = await this.#forget(name);
      if (refused.length > 0) throw unloadRefusal(name, refused);
    });
  }

  settled(replica: string, epoch: number): boolean {
    return this.#book.nextStep(replica, epoch) === null;
  }

  async settle(replica: OpenReplica): Promise<void> {
    const { id, epoch } = replica;
    const step = this.#book.nextStep(id, epoch);
    if (step === null) return;
    const { name } = step;
    if (step.do === 'unload') {
      await broadcast([replica], unloadCommand(name), UNLOAD_DEADLINE);
      this.#book.drop(id, epoch, name);
      return;
    }
    const record = this.#book.get(name);
    if (record === undefined) return;
    const { files, is3d } = record;
    const command = loadCommand({ name, path: files.path, is3d }, step.do === 'replace');
    const [answer] = await broadcast([replica], command, LOAD_DEADLINE);
    if (answer === undefined) return;
    if (broke(answer)) throw answer.error;
    if (succeeded(answer)) this.#book.hold(id, epoch, name, files);
    // Replaced meanwhile: the files that were refused may be gone, and the next step names the new ones.
    else if (record.files === files) this.#lose(record, answer);
  }

  /** What a replica refuses that starts anew, none may serve: answers would depend on the replica. */
  #lose(record: AdapterRecord, answer: ReplicaAnswer): void {
    const { name, pinned } = record;
    if (this.#book.get(name) !== record) return;
    this.#book.remove(name);
    if (pinned) this.#broken.set(name, loadRefusal(name, [answer]));
    this.options.lost?.(name, refusalText(answer));
    void this.#chain.run(name, () => this.#forget(name));
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
    await this.#chain.run(name, async () => {
      if (this.#book.get(name)?.ready === true) return;
      await this.#loadNow(name, await this.#files(name, null), null, false, false);
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

  async #loadNow(name: string, files: AdapterFiles, is3d: boolean | null, pinned: boolean, inPlace: boolean) {
    try {
      await this.#loadFiles(name, files, is3d, pinned, inPlace);
    } catch (error) {
      files.release(); // if the book had them, it has given them back
      throw error;
    }
  }

  async #loadFiles(
    name: string,
    files: AdapterFiles,
    is3d: boolean | null,
    pinned: boolean,
    inPlace: boolean,
  ): Promise<void> {
    if (this.options.asleep?.() === true) {
      throw new TwinkleError(
        'NOT_READY',
        `the model sleeps, so adapter \`${name}\` cannot be loaded: POST /wake_up first`,
      );
    }
    const known = this.#book.get(name);
    if (known === undefined) {
      // What an engine should have forgotten and has not: it would refuse the name.
      await this.#forget(name);
      this.#makeRoom();
    }
    const record = known ?? this.#book.add(name, files, { pinned, is3d });
    const command = loadCommand({ name, path: files.path, is3d }, inPlace && known !== undefined);
    const asked = new Set<string>();
    const refused: ReplicaAnswer[] = [];
    let reached = 0;
    // Again for replicas that began to take requests while the others loaded.
    for (let replicas = this.#others(asked); replicas.length > 0; replicas = this.#others(asked)) {
      const answers = await broadcast(replicas, command, LOAD_DEADLINE);
      replicas.forEach(({ id, epoch }, at) => {
        const answer = answers[at] as ReplicaAnswer;
        // A replica that broke meanwhile is told when it is back.
        if (broke(answer)) return;
        this.#book.hold(id, epoch, name, files);
        if (succeeded(answer)) reached += 1;
        else refused.push(answer);
      });
    }
    // Without a replica a first use waits like any request: whichever starts is told before it takes requests.
    if (refused.length === 0 && (reached > 0 || !pinned)) {
      this.#broken.delete(name);
      this.#book.commit(name, { files, is3d, pinned: pinned || record.pinned });
      return;
    }
    const error = refused.length === 0 ? nobodyToLoad(name) : loadRefusal(name, refused);
    // An engine replaces weights only by such that it could read: where all refused, all have what they had.
    if (known !== undefined && reached === 0 && refused.every(({ status }) => status !== null)) throw error;
    this.#book.remove(name);
    await this.#forget(name);
    throw error;
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
    this.#book.remove(victim.name);
    void this.#chain.run(victim.name, () => this.#forget(victim.name));
  }

  /** Tell every replica that holds it to forget it. Returns those that did not; that it knew nothing of it is as good. */
  async #forget(name: string): Promise<readonly ReplicaAnswer[]> {
    const holders = this.options.open().filter(({ id, epoch }) => this.#book.holds(id, epoch, name));
    const answers = await broadcast(holders, unloadCommand(name), UNLOAD_DEADLINE);
    return answers.filter((answer, at) => {
      const gone = succeeded(answer) || answer.status === 404 || broke(answer);
      const holder = holders[at];
      if (gone && holder !== undefined) this.#book.drop(holder.id, holder.epoch, name);
      return !gone;
    });
  }

  /** Replicas that take requests and are not in `asked` yet; they are from now on. */
  #others(asked: Set<string>): readonly OpenReplica[] {
    const others = this.options.open().filter(({ id, epoch }) => !asked.has(`${id} ${epoch}`));
    for (const { id, epoch } of others) asked.add(`${id} ${epoch}`);
    return others;
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
