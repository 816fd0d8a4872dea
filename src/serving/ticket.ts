/** One generation on its way: waiting in the queue, running on a replica, or over. Its consumer sees one `Generation` throughout. */
import type { TwinkleError } from '../errors.js';
import type { GenerateEnd, GenerateParams, TokenDelta } from '../protocol/values.js';
import type { StreamHandle, StreamSink } from '../transport/channel.js';
import type { Generation, TokenSink } from './types.js';

/** What a ticket tells the model that issued it. */
export interface TicketOwner {
  /** It ended, failed or was aborted: its place is free. */
  finished(ticket: Ticket): void;
  /**
   * Its replica broke before the first item. True: the owner has queued it again; false: it may not be tried again.
   */
  retry(ticket: Ticket, error: TwinkleError): boolean;
}

export class Ticket implements Generation, StreamSink<TokenDelta, GenerateEnd> {
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
    readonly params: GenerateParams,
    private readonly sink: TokenSink,
    private readonly owner: TicketOwner,
    readonly tenant: string,
    nowMs: number,
  ) {
    this.enqueuedMs = nowMs;
  }

  /** Choices it occupies in an engine's batch. */
  get width(): number {
    return this.params.n;
  }

  get over(): boolean {
    return this.#over;
  }

  /** It runs on `replica` now. */
  attach(replica: string, handle: StreamHandle): void {
    this.replica = replica;
    this.#handle = handle;
    if (this.#paused) handle.pause(true);
  }

  item(delta: TokenDelta): void {
    this.#started = true;
    this.sink.delta(delta);
  }

  end(end: GenerateEnd): void {
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
