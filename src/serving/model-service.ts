/** One served model: its replicas, its bounded queue, and who runs where. Requests that wait survive a restart of a gang. */
import { asTwinkleError, type TwinkleError } from '../errors.js';
import type { Calls } from '../protocol/methods.js';
import type { GenerateEnd, GenerateParams, HttpParams, HttpPart, ModelCard, TokenDelta } from '../protocol/values.js';
import { FairQueue } from './fair-queue.js';
import type { ModelServiceOptions } from './model-service-options.js';
import { bodyBlocks, promptBlocks } from './prompt-blocks.js';
import { draining, notReady, overloaded } from './refusals.js';
import { modelState, type Replica } from './replica.js';
import { newRouter, type Router } from './routing.js';
import { hearingId, type ResponseHome, ResponseHomes, referenceOf } from './stored-responses.js';
import { type AnyTicket, Ticket, type TicketOwner, type Work } from './ticket.js';
import type {
  Caller,
  Generation,
  HttpSink,
  ModelState,
  ScaleStatus,
  ServedModel,
  Sink,
  StartProgress,
  TokenSink,
} from './types.js';

/** A request whose replicas broke so often before its first token is taken for the cause. */
const MAX_LOSSES = 2;
const CALL_DEADLINE_MS = 60_000;

export class ModelService implements TicketOwner {
  progress: StartProgress | null = null;
  reason: string | null = null;
  /** How many replicas there should be; null: all of them. */
  scale: ScaleStatus | null = null;
  /** Told when a request waits. */
  onWaiting: () => void = () => {};
  /** Told when a request waits, or is over. */
  onChange: () => void = () => {};
  readonly #router: Router;
  readonly #queue = new FairQueue<AnyTicket>();
  readonly #running = new Set<AnyTicket>();
  readonly #responses = new ResponseHomes();
  /** Calls that wait for a replica where there is none, and requests where there has never been one. */
  #callers: (() => void)[] = [];
  #draining = false;
  #cut = false;
  #idleWaiters: (() => void)[] = [];
  /** Duration of recent requests, for Retry-After. */
  #typicalMs = 1000;

  constructor(
    readonly options: ModelServiceOptions,
    readonly replicas: readonly Replica[],
  ) {
    this.#router = newRouter(options.routing ?? 'least-loaded');
  }

  get names(): readonly string[] {
    return this.options.names;
  }

  /** Requests that wait for a slot. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Requests that run. */
  get running(): number {
    return this.#running.size;
  }

  /** Requests that run or wait. */
  get ongoing(): number {
    return this.#running.size + this.waiting;
  }

  /** Requests and calls that wait. */
  get waiting(): number {
    return this.#queue.length + this.#callers.length;
  }

  /** Ready when any replica is, or when none need be; otherwise the most hopeful state among them. */
  get state(): ModelState {
    if (this.#draining) return 'draining';
    const states = this.replicas.map(({ gang }) => modelState(gang));
    const order: readonly ModelState[] = ['ready', 'restarting', 'starting', 'failed', 'stopped'];
    const state = order.find((one) => states.includes(one)) ?? 'stopped';
    return state === 'stopped' && this.options.fromZero === true ? 'ready' : state;
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
      replicas: this.replicas
        .filter(({ gang }) => this.scale === null || gang.state.at !== 'stopped')
        .map((replica) => replica.status()),
      ...(this.scale === null ? {} : { scale: this.scale }),
    };
  }

  generate(params: GenerateParams, sink: TokenSink, caller: Caller): Generation {
    const beginning = (): readonly number[] => promptBlocks(params.prompt, params.adapter);
    const open: Work<TokenDelta, GenerateEnd>['open'] = (lead, ticket) => lead.open('generate', params, ticket);
    return this.#take({ width: params.n, beginning, open, home: null }, sink, caller);
  }

  /** As {@link generate}, for the engine's own server. */
  relay(params: HttpParams, sink: HttpSink, caller: Caller, width = 1): Generation {
    const beginning = (): readonly number[] => bodyBlocks(params.body);
    const open: Work<HttpPart, null>['open'] = (lead, ticket) => lead.open('http', params, ticket);
    const reference = referenceOf(params);
    const home = reference === null ? null : this.#responses.of(reference.id);
    // Who asks for a response, or cancels one, must not wait behind those whose batch it is in.
    const atOnce = reference?.control === true ? this.#at(home) : null;
    const hears = hearingId(params, sink, (id) => {
      const replica = this.#replicaOf(ticket);
      if (replica !== undefined) this.#responses.keep(id, { replica: replica.id, epoch: replica.epoch });
    });
    const ticket = this.#take({ width: atOnce === null ? width : 0, beginning, open, home }, hears, caller, atOnce);
    return ticket;
  }

  /** Whether it made that stored response, and has not forgotten it by its own account. */
  hasResponse(id: string): boolean {
    return this.#at(this.#responses.of(id)) !== null;
  }

  /** @param atOnce the replica that it goes to whatever waits; null: it takes its turn */
  #take<Item, End>(
    work: Work<Item, End>,
    sink: Sink<Item, End>,
    caller: Caller,
    atOnce: Replica | null = null,
  ): Ticket<Item, End> {
    this.#admit();
    const ticket = new Ticket(work, sink, this, caller.tenant, this.options.nowMs());
    if (atOnce !== null) {
      this.#run(ticket, atOnce);
      return ticket;
    }
    this.#queue.push(ticket.tenant, ticket);
    this.dispatch();
    // It may have been sent at once although others still wait: of retried requests more may wait than the queue holds.
    if (this.#queue.length > this.options.maxQueue && this.#queue.remove(ticket.tenant, ticket))
      throw this.#overloaded();
    if (this.#queue.length > 0) this.onWaiting();
    this.onChange();
    return ticket;
  }

  /** A call to the rank that takes requests. */
  async call<M extends 'tokenize' | 'detokenize'>(method: M, params: Calls[M]['params']): Promise<Calls[M]['result']> {
    this.#admit();
    const able = (): Replica | undefined => this.replicas.find(({ lead }) => lead !== null);
    const comes = (): boolean => this.options.fromZero === true || this.options.away?.() === true;
    if (able() === undefined && comes()) await this.#replicaComes();
    const replica = able();
    const lead = replica?.lead ?? null;
    if (replica === undefined || lead === null) throw notReady(this);
    return await replica.during(lead.call(method, params, { deadlineMs: CALL_DEADLINE_MS }));
  }

  /** See `Inference.loaded`. */
  async loaded(): Promise<ModelCard> {
    this.#admit();
    if (this.card === null) await this.#replicaComes();
    if (this.card === null) throw notReady(this);
    return this.card;
  }

  /** Send what waits to replicas with room, in order. To be called whenever a replica becomes ready. */
  dispatch(): void {
    if (this.#cut) return;
    if (this.#callers.length > 0 && this.replicas.some(({ lead }) => lead !== null)) this.#letCallersGo();
    // What must wait for one replica keeps nobody from the others.
    const bound = (ticket: AnyTicket): boolean => this.#at(ticket.home)?.hasRoom(ticket.width) === false;
    for (let first = this.#queue.peek(bound); first !== undefined; first = this.#queue.peek(bound)) {
      const replica = this.#at(first.home) ?? this.#chosen(first);
      if (replica === null) return;
      this.#queue.take(first.tenant, first);
      this.#run(first, replica);
    }
  }

  #chosen(ticket: AnyTicket): Replica | null {
    const chosen = this.#router.choose(this.replicas, ticket);
    return chosen === null ? null : (this.replicas[chosen] ?? null);
  }

  #run(ticket: AnyTicket, replica: Replica): void {
    this.#running.add(ticket);
    try {
      replica.run(ticket);
    } catch (error) {
      // Its own request is at fault (no frame can carry it): those behind it go on. Never from inside `generate`.
      const reason = asTwinkleError(error);
      setImmediate(() => ticket.error(reason));
    }
  }

  /** The replica of a stored response; null: it has no home, or none that takes requests and still knows it. */
  #at(home: ResponseHome | null): Replica | null {
    if (home === null) return null;
    const replica = this.replicas.find(({ id }) => id === home.replica);
    return replica?.epoch === home.epoch && replica.lead !== null ? replica : null;
  }

  /** A replica gave up for good: what waits cannot be served when no other is left. */
  replicaFailed(error: TwinkleError): void {
    // Not `state`: while draining too, what waits would wait for ever.
    if (this.replicas.some(({ gang }) => !['failed', 'stopped'].includes(modelState(gang)))) return;
    for (const ticket of this.#queue.items()) ticket.cut(error);
    this.#letCallersGo();
  }

  finished(ticket: AnyTicket): void {
    this.#queue.remove(ticket.tenant, ticket);
    if (this.#running.delete(ticket)) {
      this.#replicaOf(ticket)?.left(ticket);
      this.#typicalMs += 0.1 * (this.options.nowMs() - ticket.enqueuedMs - this.#typicalMs);
    }
    // Also when it only waited: it may have been too wide for the room that those behind it fit into.
    this.dispatch();
    this.#tellIdle();
    this.onChange();
  }

  retry(ticket: AnyTicket): boolean {
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
    this.#letCallersGo();
    if (this.#running.size + this.#queue.length === 0) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** End everything that runs or waits. */
  cut(error: TwinkleError): void {
    this.#draining = true;
    this.#cut = true;
    for (const ticket of [...this.#queue.items(), ...this.#running]) ticket.cut(error);
    this.#letCallersGo();
  }

  async #replicaComes(): Promise<void> {
    if (this.#callers.length >= this.options.maxQueue) throw this.#overloaded();
    const there = new Promise<void>((resolve) => this.#callers.push(resolve));
    this.onWaiting();
    this.onChange();
    await there;
    this.#admit();
  }

  /** There is a replica, or there will be none. */
  #letCallersGo(): void {
    for (const go of this.#callers.splice(0)) go();
  }

  #replicaOf(ticket: AnyTicket): Replica | undefined {
    return this.replicas.find(({ id }) => id === ticket.replica);
  }

  #tellIdle(): void {
    if (this.#running.size + this.#queue.length > 0) return;
    for (const tell of this.#idleWaiters.splice(0)) tell();
  }

  /** A model that has never been ready, or never will be, refuses; one that restarts lets requests wait. */
  #admit(): void {
    if (this.#draining) throw draining();
    const { state } = this;
    if (state === 'starting' && this.options.fromZero === true) return;
    if (state !== 'ready' && state !== 'restarting') throw notReady(this);
  }

  #overloaded(): TwinkleError {
    return overloaded(this.names[0] ?? '', this.options.maxQueue, this.#typicalMs);
  }
}
