/** This process as a client of its node: one connection, its references, its calls to actors and tasks. */
import type { Socket } from 'node:net';
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { ActorCard, ActorSpec, ActorState, Demand, Join, Joined, Printed } from '../protocol/work.js';
import { ActorLine, type Dial } from './actor-line.js';
import { Call, type CallShape } from './call.js';
import { Link } from './link.js';
import { Objects } from './objects.js';
import { Given, Late } from './portable.js';
import { ObjectRef, type Slot } from './refs.js';
import { TaskLane } from './task-lane.js';
import type { Outgoing } from './travelling.js';
import { WorkerLine } from './worker-line.js';

export interface ClientOptions {
  readonly native: Pick<Native, 'mapPrivate'>;
  readonly namespace: string;
  /** A worker printed something. */
  printed(said: Printed & { readonly pid: number }): void;
  /** What stands for an actor's handle; null: it is none. */
  cardOf(value: object): ActorCard | null;
  /** The handle of a card that came in a value. */
  handleOf(card: ActorCard): unknown;
}

/** Keyword arguments of a call, as its last argument. */
export class Keywords<T extends object = Record<string, unknown>> {
  constructor(readonly values: T) {}
}

/** `[[], {}]` */
const NO_ARGUMENTS: Outgoing = {
  value: { f: 'msgpack', s: [3], at: '', refs: [] },
  parts: [Uint8Array.of(0x92, 0x90, 0x80)],
  keep: [],
};
const MOST_REPORTED = 10_000;

export class WorkClient implements Disposable {
  readonly objects: Objects;
  readonly link: Link;
  readonly namespace: string;
  readonly node: string;
  readonly #options: ClientOptions;
  readonly #joined: Joined;
  readonly #lines = new Map<string, ActorLine>();
  readonly #lanes = new Map<string, TaskLane>();
  /** Calls without a result yet, by the object that it becomes. */
  readonly #calls = new Map<string, { readonly way: ActorLine | TaskLane; readonly call: Call }>();

  private constructor(link: Link, joined: Joined, options: ClientOptions) {
    this.link = link;
    this.namespace = options.namespace;
    this.node = joined.node;
    this.#joined = joined;
    this.#options = options;
    this.objects = new Objects({
      ...{ native: options.native, link, client: joined.client, inlineBytes: joined.inline_bytes },
      settle: joined.settle ?? false,
      cardOf: (value) => options.cardOf(value),
      handleOf: (card) => options.handleOf(card),
    });
  }

  /** Join the node service at the other end of the socket. Throws what it refuses, `HEAD_UNREACHABLE`. */
  static async join(socket: Socket, hello: Omit<Join, 't'>, options: ClientOptions): Promise<WorkClient> {
    const made: { client: WorkClient | null } = { client: null };
    const early: ((client: WorkClient) => void)[] = []; // what is told in one breath with the answer to the join
    const link = new Link(socket, {
      told: (method, params, body) => {
        if (made.client !== null) made.client.#told(method, params, body);
        else early.push((client) => client.#told(method, params, body));
      },
      ended: (error) => {
        if (made.client !== null) made.client.#ended(error);
      },
    });
    const client = new WorkClient(link, await link.join(hello), options);
    made.client = client;
    for (const tell of early) tell(client);
    return client;
  }

  /** The calls of this process to an actor. */
  line(card: Pick<ActorCard, 'id' | 'cls_name' | 'ordered'>): ActorLine {
    let line = this.#lines.get(card.id);
    if (line === undefined) {
      line = new ActorLine(card, this.objects, this.#dial);
      this.#lines.set(card.id, line);
      this.link.tell('actor.watch', { id: card.id });
    }
    return line;
  }

  /** Tasks of that demand. */
  lane(demand: Demand): TaskLane {
    const key = JSON.stringify(demand);
    let lane = this.#lanes.get(key);
    if (lane === undefined) {
      lane = new TaskLane(demand, this.link, this.objects, this.#dial);
      this.#lanes.set(key, lane);
    }
    return lane;
  }

  /**
   * Call. Returns the slot of its result, counted for the one who asks.
   * @param actor id of the actor, which lives at least until the call is over; null: a task
   * @throws `SERIALIZATION`, `HEAD_UNREACHABLE`
   */
  submit(way: ActorLine | TaskLane, shape: CallShape, args: readonly unknown[], actor: string | null): Slot {
    if (this.link.over !== null) throw this.link.over;
    const given: Slot[] = [];
    const travelling = argumentsOf(args, (ref) => {
      given.push(this.objects.slotOf(ref));
      return new Given(given.length - 1);
    });
    const now = args.length === 0 ? NO_ARGUMENTS : this.objects.prepareNow(travelling, 'args');
    const { refs } = this.objects;
    for (const { id } of given) refs.take(id);
    if (actor !== null) refs.take(actor);
    const slot = this.objects.newSlot();
    const call = new Call(shape, slot, given, actor);
    if (now === null) {
      const ready = (prepared: Outgoing | Error): void => {
        call.args = prepared;
        if (call.over && !(prepared instanceof Error)) this.objects.release(prepared.keep); // it was cancelled meanwhile
        way.flush();
      };
      this.objects.prepare(travelling, 'args').then(ready, ready);
    } else {
      call.args = now;
    }
    for (const one of given) this.objects.fetch(one);
    this.#calls.set(slot.id, { way, call });
    slot.whenDone(() => this.#over(slot));
    way.submit(call);
    return slot;
  }

  /** Make an actor. Its constructor's references are waited for by each of its lives. */
  async createActor(spec: Omit<ActorSpec, 'id' | 'args'>, args: readonly unknown[]): Promise<ActorCard> {
    const prepared = await this.objects.prepare(
      argumentsOf(args, (ref) => new Late(ref)),
      'args',
    );
    const id = this.objects.newId();
    try {
      const answer = await this.link.ask('actor.create', { ...spec, id, args: prepared.value }, prepared.parts);
      return answer.value as ActorCard;
    } finally {
      this.objects.release(prepared.keep); // the node has them, and keeps what they refer to
    }
  }

  /** Cancel the call whose result that is; one that has its result stays as it is. Throws `INVALID_REQUEST` for `force` of an actor's. */
  cancel(slot: Slot, force: boolean, recursive: boolean): void {
    const found = this.#calls.get(slot.id);
    if (found === undefined) return;
    const { way, call } = found;
    if (force && way instanceof ActorLine) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `\`force\` is for tasks, and ${call.shape.where} is of an actor: use kill() to end that`,
      );
    }
    call.cancelled = true;
    way.withdraw(call);
    const worker = way instanceof TaskLane ? way.workerOf(call) : null;
    if (worker !== null) this.link.tell('interrupt', { worker, ref: slot.id, force, recursive });
  }

  /** Resolves when it has its value; rejects with the signal's reason. */
  async whenDone(slots: readonly Slot[], count: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    for (const slot of slots) this.objects.fetch(slot);
    let missing = count - slots.filter(({ done }) => done).length;
    if (missing <= 0) return;
    await new Promise<void>((resolve, reject) => {
      const aborted = (): void => reject(signal?.reason);
      signal?.addEventListener('abort', aborted, { once: true });
      for (const slot of slots) {
        if (slot.done) continue;
        slot.whenDone(() => {
          missing -= 1;
          if (missing !== 0) return;
          signal?.removeEventListener('abort', aborted);
          resolve();
        });
      }
    });
  }

  /** Leave: actors that are not detached end, and tasks that run. Idempotent. */
  [Symbol.dispose](): void {
    this.link.close();
    this.objects[Symbol.dispose]();
  }

  readonly #dial: Dial = (path, events) => {
    const { link, objects } = this;
    return new WorkerLine(
      { path, link, objects, instance: this.#joined.instance, client: this.#joined.client },
      events,
    );
  };

  /** A call has its result, which the node may keep for this process. */
  #over(slot: Slot): void {
    this.#calls.delete(slot.id);
    const { stored } = slot;
    if (stored === null) return;
    if ('error' in stored) {
      // It may have been sealed by a worker that could not say so any more.
      const code = stored.error instanceof TwinkleError ? stored.error.code : '';
      const perhaps = code === 'ACTOR_DIED' || code === 'WORKER_DIED';
      if (perhaps && !slot.known) this.objects.giveUp(slot.id);
    } else if (stored.value.at === slot.id) {
      slot.known = true;
      // Nobody wants it any more: it was held for this process, also when it had been promised to others and let go of before.
      if (this.objects.refs.find(slot.id) !== slot) this.objects.giveUp(slot.id);
    }
  }

  #told(method: string, params: never, body: Uint8Array): void {
    switch (method) {
      case 'actor': {
        const state: ActorState = params;
        this.#lines.get(state.id)?.heard(state, body);
        if (state.state === 'DEAD') this.#lines.delete(state.id); // whoever calls it again is told the same again
        return;
      }
      case 'lease.lost': {
        const { lease, how } = params as { readonly lease: number; readonly how: string };
        for (const lane of this.#lanes.values()) void lane.lost(lease, how);
        return;
      }
      case 'lease.spent':
        for (const lane of this.#lanes.values()) lane.spent((params as { readonly lease: number }).lease);
        return;
      case 'lease.wanted':
        for (const lane of this.#lanes.values()) lane.giveBack();
        return;
      case 'slab.gone':
        this.objects.forgetSlab((params as { readonly slab: number }).slab);
        return;
      case 'object.let-go': {
        const { token, collect } = params as { readonly token: number; readonly collect: boolean };
        const done = (): void => this.link.tell('object.let-go', { token });
        // Nothing is kept open here for the next time; but what is garbage may be.
        if (collect) this.objects.collect(done);
        else done();
        return;
      }
      case 'printed':
        this.#options.printed(params);
        return;
      case 'report':
        this.#report((params as { readonly token: number }).token);
    }
  }

  #report(token: number): void {
    const all = [...this.#calls];
    const calls = all.slice(0, MOST_REPORTED).map(([id, { way, call }]) => {
      const task = way instanceof TaskLane;
      const worker = task ? way.workerOf(call) : null;
      const running = task ? worker !== null : way.isSent(call);
      const { where } = call.shape;
      return {
        id,
        name: where,
        kind: task ? 'task' : 'actor',
        state: running ? 'RUNNING' : 'WAITING',
        worker,
        since: call.since,
      };
    });
    const more = all.length - calls.length;
    this.link.tell('report', { token, calls, ...(more > 0 ? { more } : {}) });
  }

  #ended(error: TwinkleError): void {
    for (const way of [...this.#lines.values(), ...this.#lanes.values()]) way.fail(error);
  }
}

/** `[args, kwargs]`, with what stands for the references among them. */
function argumentsOf(
  args: readonly unknown[],
  stand: (ref: ObjectRef) => unknown,
): readonly [readonly unknown[], object] {
  const last = args.at(-1);
  const keywords = last instanceof Keywords ? last : null;
  const positional = keywords === null ? args : args.slice(0, -1);
  const taken = (value: unknown): unknown => (value instanceof ObjectRef ? stand(value) : value);
  const named = Object.entries(keywords?.values ?? {}).map(([name, value]) => [name, taken(value)] as const);
  return [positional.map(taken), Object.fromEntries(named)];
}
