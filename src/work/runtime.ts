/** What programs in Node call: actors and tasks by name, values, places. */
import type { ClusterSnapshot } from '../cluster/api.js';
import { TwinkleError } from '../errors.js';
import type { ActorCard } from '../protocol/work.js';
import type { WorkClient } from './client.js';
import { codeName } from './code-name.js';
import { ActorClass, type ActorHandle, type AnyMethods, handleOf, RemoteFunction } from './handle.js';
import type { ActorOptions, TaskOptions } from './options.js';
import { type Bundle, PlacementGroup, type PlacementGroupOptions, type PlacementStrategy } from './placement-group.js';
import type { ObjectRef, Slot } from './refs.js';

/** How long to wait. */
export interface WaitOptions {
  /** Default: without end. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Values of references, in their order. */
export type Values<R extends readonly ObjectRef[]> = {
  -readonly [I in keyof R]: R[I] extends ObjectRef<infer T> ? T : never;
};

/** A connection with a head for actors, tasks and objects. `await using runtime = await createRuntime()` leaves at the end of the block. */
export class Runtime implements AsyncDisposable {
  readonly #client: WorkClient;
  readonly #folder: string;
  readonly #close: () => Promise<void>;

  /** For `createRuntime` only. @param folder from which files of code are named */
  constructor(client: WorkClient, folder: string, close: () => Promise<void>) {
    this.#client = client;
    this.#folder = folder;
    this.#close = close;
  }

  /** False when the head is away: everything that it had has ended. */
  get connected(): boolean {
    return this.#client.link.over === null;
  }

  /** Where names of actors are looked up. */
  get namespace(): string {
    return this.#client.namespace;
  }

  /** Id of the node that it has joined. */
  get nodeId(): string {
    return this.#client.node;
  }

  /**
   * A class in Python, whose actors can be made: `runtime.actor('counter.py:Counter').create(10)`.
   * @param code `file.py:Class`, from the runtime's folder, or `package.module:Class`
   * @throws `CONFIG_INVALID`
   */
  actor<T extends object = AnyMethods>(code: string, options: ActorOptions = {}): ActorClass<T> {
    return new ActorClass<T>(this.#client, codeName(code, this.#folder), options);
  }

  /**
   * A function in Python, to run in other processes: `await runtime.task('work.py:square').call(4)`.
   * @param code `file.py:function`, from the runtime's folder, or `package.module:function`
   * @throws `CONFIG_INVALID`
   */
  task<F extends (...args: never[]) => unknown = (...args: unknown[]) => unknown>(
    code: string,
    options: TaskOptions = {},
  ): RemoteFunction<F> {
    return new RemoteFunction<F>(this.#client, codeName(code, this.#folder), options);
  }

  /** Keep a value for others: large ones are written once, to memory that every process of the box reads. Throws `SERIALIZATION`, `SHM_FULL`. */
  async put<T>(value: T): Promise<ObjectRef<T>> {
    return this.#client.objects.refOf<T>(await this.#client.objects.put(value));
  }

  /**
   * The value of a reference, or those of several in their order. Arrays lie in shared memory; what is written to them stays in this process.
   * @throws the first error among them; `DEADLINE_EXCEEDED`, the signal's reason
   */
  get<T>(ref: ObjectRef<T>, options?: WaitOptions): Promise<T>;
  get<const R extends readonly ObjectRef[]>(refs: R, options?: WaitOptions): Promise<Values<R>>;
  async get(refs: ObjectRef | readonly ObjectRef[], options: WaitOptions = {}): Promise<unknown> {
    const list = Array.isArray(refs) ? (refs as readonly ObjectRef[]) : [refs as ObjectRef];
    const values = await this.#counted(list, async (slots) => {
      const late = (): TwinkleError => {
        const missing = slots.filter(({ done }) => !done).map(({ id }) => id);
        const text = `${missing.length} of ${slots.length} values were not there within ${options.timeoutMs} ms: ${missing.slice(0, 3).join(', ')}`;
        return new TwinkleError('DEADLINE_EXCEEDED', text);
      };
      if (!(await this.#await(slots, slots.length, options))) throw late();
      const read: unknown[] = [];
      for (const { stored } of slots)
        read.push(stored === null ? undefined : await this.#client.objects.valueOf(stored));
      return read;
    });
    return Array.isArray(refs) ? values : values[0];
  }

  /**
   * Wait until some have their values (or errors): those, at most `count`, and the others, both in their order.
   * @param options.count default 1
   * @throws `INVALID_REQUEST`, the signal's reason; no error for what is late
   */
  async wait<T>(
    refs: readonly ObjectRef<T>[],
    options: WaitOptions & { readonly count?: number } = {},
  ): Promise<{ readonly ready: ObjectRef<T>[]; readonly pending: ObjectRef<T>[] }> {
    const { count = 1 } = options;
    if (!Number.isInteger(count) || count < 1 || count > refs.length) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `expected a whole number from 1 to ${refs.length} for \`count\` but received ${count}`,
      );
    }
    if (new Set(refs.map(({ id }) => id)).size < refs.length) {
      throw new TwinkleError('INVALID_REQUEST', 'expected references that differ for `refs` but received one twice');
    }
    return await this.#counted(refs, async (slots) => {
      await this.#await(slots, count, options);
      const ready: ObjectRef<T>[] = [];
      const pending: ObjectRef<T>[] = [];
      refs.forEach((ref, at) => {
        (slots[at]?.done === true && ready.length < count ? ready : pending).push(ref);
      });
      return { ready, pending };
    });
  }

  /**
   * Cancel the call whose result that is: one that waits never begins, a task that runs is interrupted, of actors only coroutines are.
   * @param options.force end the process of a task. Default false
   * @param options.recursive what it has called, too. Default true
   * @throws `INVALID_REQUEST` for `force` of an actor's
   */
  cancel(ref: ObjectRef, options: { readonly force?: boolean; readonly recursive?: boolean } = {}): void {
    this.#client.cancel(this.#client.objects.slotOf(ref), options.force ?? false, options.recursive ?? true);
  }

  /** The living actor of that name, whoever made it. Throws `ACTOR_NOT_FOUND`. @param namespace default: that of the runtime */
  async getActor<T extends object = AnyMethods>(
    name: string,
    namespace: string = this.namespace,
  ): Promise<ActorHandle<T>> {
    const { value } = await this.#client.link.ask('actor.find', { namespace, name });
    return handleOf<T>(this.#client, value as ActorCard, true);
  }

  /** Names of the actors of a namespace; null: of all. */
  async actorNames(
    namespace: string | null = this.namespace,
  ): Promise<readonly { readonly namespace: string; readonly name: string }[]> {
    const { value } = await this.#client.link.ask('actor.names', { namespace });
    return value as readonly { readonly namespace: string; readonly name: string }[];
  }

  /**
   * Reserve resources together; await `ready()`.
   * @throws `PLACEMENT_INVALID`, `GROUP_NAME_TAKEN`
   */
  async placementGroup(
    bundles: readonly Bundle[],
    strategy: PlacementStrategy = 'PACK',
    options: PlacementGroupOptions = {},
  ): Promise<PlacementGroup> {
    const copied = bundles.map((bundle) => ({ ...bundle }));
    const { value } = await this.#client.link.ask('group.create', {
      ...{ bundles: copied, strategy, name: options.name ?? '', namespace: this.namespace },
      detached: options.lifetime === 'detached',
    });
    return new PlacementGroup(this.#client, { id: value as string, bundles: copied });
  }

  /** The living placement group of that name. Throws `GROUP_NOT_FOUND`. */
  async findPlacementGroup(name: string, namespace: string = this.namespace): Promise<PlacementGroup> {
    const { value } = await this.#client.link.ask('group.find', { name, namespace });
    return new PlacementGroup(this.#client, value as { readonly id: string; readonly bundles: Bundle[] });
  }

  /** Nodes, groups, and who holds what. */
  async snapshot(): Promise<ClusterSnapshot> {
    return (await this.#client.link.ask('cluster.snapshot', {})).value as ClusterSnapshot;
  }

  /** Leave: actors that are not detached end, and tasks that run; an own head ends with all it has. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#client[Symbol.dispose]();
    await this.#close();
  }

  /** Keep the objects of references for as long as something is done with them: somebody may dispose of the references meanwhile. */
  async #counted<R>(refs: readonly ObjectRef[], act: (slots: readonly Slot[]) => Promise<R>): Promise<R> {
    const { objects } = this.#client;
    const slots = refs.map((ref) => objects.slotOf(ref));
    for (const { id } of slots) objects.refs.take(id);
    try {
      return await act(slots);
    } finally {
      objects.release(slots.map(({ id }) => id));
    }
  }

  /** False: it was late. */
  async #await(slots: readonly Slot[], count: number, { timeoutMs, signal }: WaitOptions): Promise<boolean> {
    if (timeoutMs === undefined) {
      await this.#client.whenDone(slots, count, signal);
      return true;
    }
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(late), timeoutMs);
    try {
      await this.#client.whenDone(
        slots,
        count,
        signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
      );
      return true;
    } catch (reason) {
      if (reason === late) return false;
      throw reason;
    } finally {
      clearTimeout(timer);
    }
  }
}
