/** One request on its way: waiting in the queue, running on a replica, or over. Its consumer sees one `Generation` throughout. */
import type { TwinkleError } from '../errors.js';
import type { Channel, StreamHandle, StreamSink } from '../transport/channel.js';
import type { ResponseHome } from './stored-responses.js';
import type { Generation, Sink } from './types.js';

/** What a request asks of a rank. */
export interface Work<Item, End> {
  /** Choices that it occupies in an engine's batch. */
  readonly width: number;
  /** Hashes of what its prompt begins with (prompt-blocks.ts), for routers. */
  beginning(): readonly number[];
  /** Who has the stored response that it is about; null: any replica will do. */
  readonly home: ResponseHome | null;
  /** Begin on the rank behind `lead`; again with another one when that breaks before the first item. */
  open(lead: Channel, sink: StreamSink<Item, End>): StreamHandle;
}

/** A ticket of any kind of work. */
export type AnyTicket = Ticket<unknown, unknown>;

/** What a ticket tells the model that issued it. */
export interface TicketOwner {
  /** It ended, failed or was aborted: its place is free. */
  finished(ticket: AnyTicket): void;
  /**
   * Its replica broke before the first item. True: the owner has queued it again; false: it may not be tried again.
   */
  retry(ticket: AnyTicket, error: TwinkleError): boolean;
}

export class Ticket<Item, End> implements Generation, StreamSink<Item, End> {
  /** Replica it runs on; null while it waits. */
  replica: string | null = null;
  /** How often a replica broke under it before its first item. */
  losses = 0;
  readonly enqueuedMs: number;
  #handle: StreamHandle | null = null;
  #started = false;
  #over = false;
  #paused = false;

  constructor(
    private readonly work: Work<Item, End>,
    private readonly sink: Sink<Item, End>,
    private readonly owner: TicketOwner,
    readonly tenant: string,
    nowMs: number,
  ) {
    this.enqueuedMs = nowMs;
  }

  /** Choices it occupies in an engine's batch. */
  get width(): number {
    return this.work.width;
  }

  get home(): ResponseHome | null {
    return this.work.home;
  }

  /** See {@link Work.beginning}. */
  beginning(): readonly number[] {
    return this.work.beginning();
  }

  get over(): boolean {
    return this.#over;
  }

  /** Run on `replica`, whose requests go to `lead`. Throws what `Channel.open` throws; then it runs nowhere. */
  start(replica: string, lead: Channel): void {
    const handle = this.work.open(lead, this);
    this.replica = replica;
    this.#handle = handle;
    if (this.#paused) handle.pause(true);
  }

  item(item: Item): void {
    this.#started = true;
    this.sink.delta(item);
  }

  end(end: End): void {
    if (this.#finish()) this.sink.end(end);
  }

  error(error: TwinkleError): void {
    if (this.#over) return;
    const lost = error.code === 'RANK_FAILED' && !this.#started;
    if (lost) {
      this.losses += 1;
      if (this.owner.retry(this, error)) return;
    }
    this.#finish();
    this.sink.error(error);
  }

  abort(): void {
    this.#handle?.abort();
    this.#finish();
  }

  /** End it from our side: the engine is told to stop, the consumer hears `error`. */
  cut(error: TwinkleError): void {
    this.#handle?.abort();
    if (!this.#finish()) return;
    try {
      this.sink.error(error);
    } catch {
      // Many are cut in one go, and the processes are next: what one consumer throws must stop neither.
    }
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    this.#handle?.pause(paused);
  }

  #finish(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.owner.finished(this);
    return true;
  }
}
