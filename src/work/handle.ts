/** Handles of actors, and tasks, as programs in Node use them. */

import { TwinkleError } from '../errors.js';
import type { ActorCard, ActorSpec, Demand } from '../protocol/work.js';
import type { CallShape } from './call.js';
import type { WorkClient } from './client.js';
import type { CodeName } from './code-name.js';
import { Items } from './items.js';
import { type ActorOptions, checkActorOptions, checkTaskOptions, demandOf, type TaskOptions } from './options.js';
import type { ObjectRef, Slot } from './refs.js';

/** Methods of an actor whose types nobody wrote down. */
export type AnyMethods = Readonly<Record<string, (...args: unknown[]) => unknown>>;
/** Names of the methods of an actor's type. */
export type MethodName<T> = { [K in keyof T]: T[K] extends (...args: never[]) => unknown ? K : never }[keyof T] &
  string;
/** Arguments of a function; each may be a reference to its value. */
export type Arguments<F> = F extends (...args: infer A) => unknown ? { [I in keyof A]: A[I] | ObjectRef<A[I]> } : never;
/** What a function gives. */
export type Result<F> = F extends (...args: never[]) => infer R ? Awaited<R> : never;
/** What a generator gives, one by one. */
export type Item<F> = Result<F> extends Iterable<infer I> ? I : Result<F> extends AsyncIterable<infer I> ? I : unknown;

/** Options of a call. */
export interface CallOptions {
  /** Cancels it. */
  readonly signal?: AbortSignal;
  /** Of an actor's method. */
  readonly concurrencyGroup?: string;
  /** Of an actor's method: how often it is sent again when the actor dies. */
  readonly maxTaskRetries?: number;
}

/** An actor: a Python object in a process of its own. It ends when no program has a handle any more, unless it is detached. */
export class ActorHandle<T extends object = AnyMethods> implements Disposable {
  readonly #client: WorkClient;
  readonly #card: ActorCard;
  readonly #ref: ObjectRef;
  readonly #options: CallOptions;
  readonly #limit: number;

  /** For the runtime only. `ref` counts the handle. */
  constructor(client: WorkClient, card: ActorCard, ref: ObjectRef, limit = 0, options: CallOptions = {}) {
    this.#client = client;
    this.#card = card;
    this.#ref = ref;
    this.#limit = limit;
    this.#options = options;
  }

  /** Names it on its cluster. */
  get id(): string {
    return this.#card.id;
  }

  get className(): string {
    return this.#card.cls_name;
  }

  /** By which others find it; empty: it has none. */
  get name(): string {
    return this.#card.name;
  }

  /** For the runtime only. Throws `INVALID_REQUEST` when it was disposed of, or belongs to another runtime. */
  cardFor({ objects }: WorkClient): ActorCard {
    objects.slotOf(this.#ref);
    return this.#card;
  }

  /** Call a method: its result. Rejects with `TASK_FAILED` (a {@link TaskError}), `ACTOR_DIED`, `SERIALIZATION`, `ABORTED`. */
  async call<M extends MethodName<T>>(method: M, ...args: Arguments<T[M]>): Promise<Result<T[M]>> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    return (await resultOf(this.#client, this.#submit(method, args, null), signal)) as Result<T[M]>;
  }

  /**
   * Call a method: a reference to its result, at once. Large arrays among the arguments must not change until the call has begun.
   * @throws `SERIALIZATION`, `OVERLOADED`, `HEAD_UNREACHABLE`; all else is thrown by `get`
   */
  remote<M extends MethodName<T>>(method: M, ...args: Arguments<T[M]>): ObjectRef<Result<T[M]>> {
    return this.#client.objects.refOf(this.#submit(method, args, null));
  }

  /** Call a method that is a generator: its items as they come. Who stops early cancels it. */
  stream<M extends MethodName<T>>(method: M, ...args: Arguments<T[M]>): AsyncIterableIterator<Item<T[M]>> {
    const items = new Items<Item<T[M]>>(this.#client);
    items.begin(this.#submit(method, args, items));
    return items;
  }

  /** The same actor, with options for the calls that are made with it. Dispose of the first one. */
  withOptions(options: CallOptions): ActorHandle<T> {
    return new ActorHandle<T>(this.#client, this.#card, this.#ref, this.#limit, { ...this.#options, ...options });
  }

  /** End it. @param options.restart it may come back, as if its process had died. Default false */
  async kill(options: { readonly restart?: boolean } = {}): Promise<void> {
    await this.#client.link.ask('actor.kill', { id: this.id, restart: options.restart ?? false });
  }

  /** The handle is used no more. Idempotent. */
  [Symbol.dispose](): void {
    this.#ref[Symbol.dispose]();
  }

  #submit(method: string, args: readonly unknown[], items: Items<unknown> | null): Slot {
    const { objects } = this.#client;
    objects.slotOf(this.#ref);
    const { methods, cls_name: cls, max_task_retries: retries } = this.#card;
    const facts = methods[method] as { readonly gen?: boolean; readonly group?: string } | undefined;
    if (facts === undefined && Object.keys(methods).length > 0) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `actor ${cls} has no method \`${method}\`; it has ${Object.keys(methods).sort().join(', ')}`,
      );
    }
    if (facts?.gen === true && items === null) {
      throw new TwinkleError('INVALID_REQUEST', `${cls}.${method} is a generator: take its items with stream()`);
    }
    const line = this.#client.line(this.#card);
    if (this.#limit > 0 && line.pending >= this.#limit) {
      throw new TwinkleError('OVERLOADED', `${this.#limit} calls of this process wait for ${cls}: maxPendingCalls`);
    }
    const shape: CallShape = {
      ...{ target: method, where: `${cls}.${method}`, again: false, items: items?.take ?? null },
      retries: this.#options.maxTaskRetries ?? retries,
      group: this.#options.concurrencyGroup ?? facts?.group ?? '',
      returns: items === null ? null : -1,
    };
    return this.#client.submit(line, shape, args, this.id);
  }
}

/** A class in Python, whose actors can be made. */
export class ActorClass<T extends object = AnyMethods> {
  readonly #client: WorkClient;
  readonly #code: CodeName;
  readonly #options: ActorOptions;
  readonly #demand: Demand;

  /** For the runtime only. Throws `CONFIG_INVALID`. */
  constructor(client: WorkClient, code: CodeName, options: ActorOptions) {
    checkActorOptions(options);
    this.#client = client;
    this.#code = code;
    this.#options = options;
    this.#demand = demandOf(options, 0);
  }

  /** The same class, with other options. */
  withOptions(options: ActorOptions): ActorClass<T> {
    return new ActorClass<T>(this.#client, this.#code, { ...this.#options, ...options });
  }

  /**
   * Make an actor. Resolves as soon as the head knows of it; what its constructor raises is thrown by its calls.
   * @throws `ACTOR_NAME_TAKEN`, `PLACEMENT_INVALID`, `SERIALIZATION`, …
   */
  async create(...args: readonly unknown[]): Promise<ActorHandle<T>> {
    const {
      name = '',
      namespace,
      lifetime,
      getIfExists,
      maxRestarts,
      maxTaskRetries,
      maxConcurrency,
      concurrencyGroups,
      maxPendingCalls,
    } = this.#options;
    const spec: Omit<ActorSpec, 'id' | 'args'> = {
      ...{
        cls: this.#code.key,
        cls_name: this.#code.name,
        methods: {},
        name,
        namespace: namespace ?? this.#client.namespace,
      },
      ...{ detached: lifetime === 'detached', get_if_exists: getIfExists ?? false },
      ...{
        max_restarts: maxRestarts ?? 0,
        max_task_retries: maxTaskRetries ?? 0,
        max_concurrency: maxConcurrency ?? 0,
      },
      ...{ groups: { ...concurrencyGroups }, demand: this.#demand },
    };
    const card = await this.#client.createActor(spec, args);
    return handleOf<T>(this.#client, card, true, maxPendingCalls);
  }
}

/** A function in Python, which runs in another process. */
export class RemoteFunction<F extends (...args: never[]) => unknown = (...args: unknown[]) => unknown> {
  readonly #client: WorkClient;
  readonly #code: CodeName;
  readonly #options: TaskOptions;
  readonly #demand: Demand;
  readonly #signal: AbortSignal | undefined;

  /** For the runtime only. Throws `CONFIG_INVALID`. */
  constructor(client: WorkClient, code: CodeName, options: TaskOptions, signal?: AbortSignal) {
    checkTaskOptions(options);
    this.#client = client;
    this.#code = code;
    this.#options = options;
    this.#demand = demandOf(options, 1);
    this.#signal = signal;
  }

  /** The same function, with other options, and a signal that cancels its calls. */
  withOptions(options: TaskOptions & { readonly signal?: AbortSignal }): RemoteFunction<F> {
    const { signal, ...more } = options;
    return new RemoteFunction<F>(this.#client, this.#code, { ...this.#options, ...more }, signal ?? this.#signal);
  }

  /** Run it: its result. Rejects with `TASK_FAILED` (a {@link TaskError}), `WORKER_DIED`, `SERIALIZATION`, `TASK_UNSCHEDULABLE`, `ABORTED`. */
  async call(...args: Arguments<F>): Promise<Result<F>> {
    this.#signal?.throwIfAborted();
    return (await resultOf(this.#client, this.#submit(args, null), this.#signal)) as Result<F>;
  }

  /** Run it: a reference to its result, at once. Throws `SERIALIZATION`, `HEAD_UNREACHABLE`; all else is thrown by `get`. */
  remote(...args: Arguments<F>): ObjectRef<Result<F>> {
    return this.#client.objects.refOf(this.#submit(args, null));
  }

  /** Run one that is a generator: its items as they come. Who stops early cancels it. */
  stream(...args: Arguments<F>): AsyncIterableIterator<Item<F>> {
    const items = new Items<Item<F>>(this.#client);
    items.begin(this.#submit(args, items));
    return items;
  }

  #submit(args: readonly unknown[], items: Items<unknown> | null): Slot {
    const { maxRetries = 3, retryExceptions = false } = this.#options;
    const { key, name } = this.#code;
    const shape: CallShape = {
      ...{
        target: key,
        where: name,
        group: '',
        items: items?.take ?? null,
        retries: maxRetries,
        again: retryExceptions,
      },
      returns: items === null ? null : -1,
    };
    return this.#client.submit(this.#client.lane(this.#demand), shape, args, null);
  }
}

/** A handle of a card. @param held the node counts this process already */
export function handleOf<T extends object>(
  client: WorkClient,
  card: ActorCard,
  held: boolean,
  limit?: number,
): ActorHandle<T> {
  return new ActorHandle<T>(client, card, client.objects.refOf(client.objects.borrow(card.id, held)), limit);
}

/** The value of a call, whose slot is let go of. */
async function resultOf(client: WorkClient, slot: Slot, signal: AbortSignal | undefined): Promise<unknown> {
  const cancel = (): void => client.cancel(slot, false, true);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    if (!slot.done) await new Promise<Slot>((resolve) => slot.whenDone(resolve));
    const { stored } = slot;
    if (stored === null) throw new Error('it was waited for');
    return await client.objects.valueOf(stored);
  } finally {
    signal?.removeEventListener('abort', cancel);
    client.objects.release([slot.id]);
  }
}
