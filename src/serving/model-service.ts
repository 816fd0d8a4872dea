/** One served model: its replicas, its bounded queue, and who runs where. Requests that wait survive a restart of a gang. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Calls } from '../protocol/methods.js';
import type { GenerateParams, ModelCard } from '../protocol/values.js';
import { chooseReplica } from './choose-replica.js';
import { FairQueue } from './fair-queue.js';
import { modelState, type Replica } from './replica.js';
import { Ticket, type TicketOwner } from './ticket.js';
import type { Caller, Generation, ModelState, ServedModel, StartProgress, TokenSink } from './types.js';

/** A request whose replicas broke so often before its first token is taken for the cause. */
const MAX_LOSSES = 2;
const CALL_DEADLINE_MS = 60_000;

export interface ModelServiceOptions {
  readonly names: readonly string[];
  /** Unix seconds. */
  readonly created: number;
  /** Requests that may wait; one more is refused with 429. */
  readonly maxQueue: number;
  nowMs(): number;
}

export class ModelService implements TicketOwner {
  progress: StartProgress | null = null;
  reason: string | null = null;
  readonly #queue = new FairQueue<Ticket>();
  readonly #running = new Set<Ticket>();
  #last = 0;
  #draining = false;
  #cut = false;
  #idleWaiters: (() => void)[] = [];
  /** Duration of recent requests, for Retry-After. */
  #typicalMs = 1000;

  constructor(
    readonly options: ModelServiceOptions,
    readonly replicas: readonly Replica[],
  ) {}

  get names(): readonly string[] {
    return this.options.names;
  }

  /** Requests that wait for a slot. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Ready when any replica is; otherwise the most hopeful state among them. */
  get state(): ModelState {
    if (this.#draining) return 'draining';
    const states = this.replicas.map(({ gang }) => modelState(gang));
    const order: readonly ModelState[] = ['ready', 'restarting', 'starting', 'failed', 'stopped'];
    return order.find((state) => states.includes(state)) ?? 'stopped';
  }

  get card(): ModelCard | null {
    return this.replicas.find(({ gang }) => gang.card !== null)?.gang.card ?? null;
  }

  describe(): ServedModel {
    const { names, created } = this.options;
    return {
      names,
      created,
      state: this.state,
      card: this.card,
      progress: this.progress,
      reason: this.reason,
      replicas: this.replicas.map((replica) => replica.status()),
    };
  }

  generate(params: GenerateParams, sink: TokenSink, caller: Caller): Generation {
    this.#admit();
    const ticket = new Ticket(params, sink, this, caller.tenant, this.options.nowMs());
    this.#queue.push(ticket.tenant, ticket);
    this.dispatch();
    // It may have been sent at once although others still wait: of retried requests more may wait than the queue holds.
    if (this.#queue.length > this.options.maxQueue && this.#queue.remove(ticket.tenant, ticket)) {
      const seconds = Math.ceil(this.#typicalMs / 1000);
      throw new TwinkleError(
        'OVERLOADED',
        `${this.options.maxQueue} requests already wait for model \`${this.names[0]}\`; try again in about ${seconds} s`,
        { retryAfterMs: seconds * 1000 },
      );
    }
    return ticket;
  }

  /** A call to the rank that takes requests. */
  async call<M extends 'tokenize' | 'detokenize'>(method: M, params: Calls[M]['params']): Promise<Calls[M]['result']> {
    this.#admit();
    const lead = this.replicas.find(({ gang }) => gang.lead !== null)?.gang.lead;
    if (lead === null || lead === undefined) throw this.#notReady();
    return await lead.call(method, params, { deadlineMs: CALL_DEADLINE_MS });
  }

  /** Send what waits to replicas with room, in order. To be called whenever a replica becomes ready. */
  dispatch(): void {
    if (this.#cut) return;
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      const chosen = chooseReplica(this.replicas, first.width, this.#last);
      const replica = chosen === null ? undefined : this.replicas[chosen];
      if (chosen === null || replica === undefined) return;
      this.#last = chosen;
      this.#queue.shift();
      this.#running.add(first);
      try {
        replica.run(first);
      } catch (error) {
        // Its own request is at fault (no frame can carry it): those behind it go on. Never from inside `generate`.
        const reason = asTwinkleError(error);
        setImmediate(() => first.error(reason));
      }
    }
  }

  /** A replica gave up for good: what waits cannot be served when no other is left. */
  replicaFailed(error: TwinkleError): void {
    // Not `state`: while draining too, what waits would wait for ever.
    if (this.replicas.some(({ gang }) => modelState(gang) !== 'failed')) return;
    for (const ticket of this.#queue.items()) ticket.cut(error);
  }

  finished(ticket: Ticket): void {
    this.#queue.remove(ticket.tenant, ticket);
    if (this.#running.delete(ticket)) {
      this.#replicaOf(ticket)?.left(ticket);
      this.#typicalMs += 0.1 * (this.options.nowMs() - ticket.enqueuedMs - this.#typicalMs);
    }
    // Also when it only waited: it may have been too wide for the room that those behind it fit into.
    this.dispatch();
    this.#tellIdle();
  }

  retry(ticket: Ticket): boolean {
    if (ticket.losses >= MAX_LOSSES) return false;
    this.#running.delete(ticket);
    this.#replicaOf(ticket)?.left(ticket);
    ticket.replica = null;
    this.#queue.unshift(ticket.tenant, ticket, ({ enqueuedMs }) => enqueuedMs < ticket.enqueuedMs);
    // Not from inside the failure: the gang that broke must have left its ready state first.
    setImmediate(() => this.dispatch());
    return true;
  }

  /** Refuse new work and resolve when nothing runs or waits any more. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#running.size + this.#queue.length === 0) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** End everything that runs or waits. */
  cut(error: TwinkleError): void {
    this.#draining = true;
    this.#cut = true;
    for (const ticket of [...this.#queue.items(), ...this.#running]) ticket.cut(error);
  }

  #replicaOf(ticket: Ticket): Replica | undefined {
    return this.replicas.find(({ id }) => id === ticket.replica);
  }

  #tellIdle(): void {
    if (this.#running.size + this.#queue.length > 0) return;
    for (const tell of this.#idleWaiters.splice(0)) tell();
  }

  /** A model that has never been ready, or never will be, refuses; one that restarts lets requests wait. */
  #admit(): void {
    if (this.#draining) {
      throw new TwinkleError('DRAINING', 'the server is shutting down and takes no new work', { retryAfterMs: 5000 });
    }
    if (this.state !== 'ready' && this.state !== 'restarting') throw this.#notReady();
  }

  #notReady(): TwinkleError {
    const { state, reason, progress } = this;
    const why = reason ?? (progress === null ? 'it has just been started' : `phase ${progress.phase}`);
    return new TwinkleError('NOT_READY', `model \`${this.names[0]}\` is ${state}: ${why}`, {
      ...(state === 'failed' ? {} : { retryAfterMs: 1000 }),
    });
  }
}
