/**
 * Calls and streams with one rank over a link: ids, deadlines, credits, aborts. When the rank is gone, `fail` ends everything that is
 * open with one error. Delivery is synchronous from the link: a token is a function call, not a promise.
 */
import { asTwinkleError, isErrorCode, TwinkleError } from '../errors.js';
import type { Failure, FromRank, Phase } from '../protocol/frames.js';
import type { Calls, Streams } from '../protocol/methods.js';
import type { Link } from './link.js';

/** Receives one stream. After `end` or `error` nothing more comes. What it throws ends its own stream and no other. */
export interface StreamSink<Item, EndValue> {
  item(item: Item): void;
  end(value: EndValue): void;
  error(error: TwinkleError): void;
}

/** A stream under way. */
export interface StreamHandle {
  /** Items received so far. */
  readonly received: number;
  /** Tell the rank to stop; the sink hears nothing more. */
  abort(): void;
  /** While paused no credits are granted. */
  pause(paused: boolean): void;
}

export interface CallOptions {
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

interface OpenCall {
  resolve(value: unknown): void;
  reject(error: TwinkleError): void;
}

/** Credits of a stream: half a window is granted when half is used, so a fast reader never waits for a round trip. */
const WINDOW = 128;

class OpenStream implements StreamHandle {
  received = 0;
  #sinceGrant = 0;
  #paused = false;

  constructor(
    readonly id: number,
    readonly sink: StreamSink<unknown, unknown>,
    readonly channel: Channel,
  ) {}

  take(item: unknown): void {
    this.received += 1;
    this.#sinceGrant += 1;
    if (this.#sinceGrant >= WINDOW / 2 && !this.#paused) this.#grant();
    try {
      this.sink.item(item);
    } catch (error) {
      this.abort();
      this.fail(asTwinkleError(error));
    }
  }

  /** A message carries items of many streams, and a death ends many: what one sink throws must not reach the others. */
  fail(error: TwinkleError): void {
    try {
      this.sink.error(error);
    } catch {
      // It has been told twice; there is nobody else to tell.
    }
  }

  end(value: unknown): void {
    try {
      this.sink.end(value);
    } catch (error) {
      this.fail(asTwinkleError(error));
    }
  }

  pause(paused: boolean): void {
    this.#paused = paused;
    if (!paused && this.#sinceGrant > 0) this.#grant();
  }

  abort(): void {
    this.channel.abortStream(this.id);
  }

  #grant(): void {
    this.channel.grant(this.id, this.#sinceGrant);
    this.#sinceGrant = 0;
  }
}

/** What a channel tells its owner. */
export interface ChannelEvents {
  phase(phase: Phase): void;
  /** A frame that breaks the contract: the owner decides whether the rank may live. */
  violation(error: TwinkleError): void;
}

export class Channel {
  readonly #link: Link;
  readonly #events: ChannelEvents;
  readonly #calls = new Map<number, OpenCall>();
  readonly #streams = new Map<number, OpenStream>();
  #next = 1;
  #down: TwinkleError | null = null;
  #grants: [number, number][] = [];
  #aborts: number[] = [];
  #flushing = false;

  constructor(link: Link, events: ChannelEvents) {
    this.#link = link;
    this.#events = events;
    link.receive((frame) => {
      try {
        this.#receive(frame);
      } catch (error) {
        const message = `a frame \`${frame.t}\` of a rank has no valid fields: ${String(error)}`;
        events.violation(new TwinkleError('PROTOCOL', message, { cause: error }));
      }
    });
  }

  /** Streams that are open now. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** One question, one answer. Rejects with what the rank says, `DEADLINE_EXCEEDED`, `ABORTED`, or the reason of {@link fail}. */
  call<M extends keyof Calls>(
    method: M,
    params: Calls[M]['params'],
    options: CallOptions = {},
  ): Promise<Calls[M]['result']> {
    if (this.#down !== null) return Promise.reject(this.#down);
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const cleanups: (() => void)[] = [];
      const settle =
        <T>(act: (value: T) => void) =>
        (value: T): void => {
          this.#calls.delete(id);
          for (const cleanup of cleanups) cleanup();
          act(value);
        };
      const call: OpenCall = { resolve: settle(resolve as (value: unknown) => void), reject: settle(reject) };
      this.#calls.set(id, call);
      const { deadlineMs, signal } = options;
      if (deadlineMs !== undefined) {
        const message = `\`${method}\` was not answered within ${deadlineMs} ms`;
        const timer = setTimeout(() => call.reject(new TwinkleError('DEADLINE_EXCEEDED', message)), deadlineMs);
        cleanups.push(() => clearTimeout(timer));
      }
      if (signal !== undefined) {
        const withdraw = (): void => call.reject(new TwinkleError('ABORTED', `\`${method}\` was withdrawn`));
        if (signal.aborted) return withdraw();
        signal.addEventListener('abort', withdraw, { once: true });
        cleanups.push(() => signal.removeEventListener('abort', withdraw));
      }
      try {
        this.#link.send({ t: 'call', id, method, params });
      } catch (error) {
        call.reject(asTwinkleError(error));
      }
    });
  }

  /**
   * Open a stream. The sink is never called from inside this call. Throws the reason of {@link fail} when the rank is gone, and
   * `INVALID_REQUEST` for parameters that no frame can carry.
   */
  open<M extends keyof Streams>(
    method: M,
    params: Streams[M]['params'],
    sink: StreamSink<Streams[M]['item'], Streams[M]['end']>,
  ): StreamHandle {
    if (this.#down !== null) throw this.#down;
    const stream = new OpenStream(this.#next++, sink as StreamSink<unknown, unknown>, this);
    this.#streams.set(stream.id, stream);
    try {
      this.#link.send({ t: 'open', id: stream.id, method, params, credits: WINDOW });
    } catch (error) {
      this.#streams.delete(stream.id);
      throw error;
    }
    return stream;
  }

  /** End everything with `error`, and every later call too. Idempotent. */
  fail(error: TwinkleError): void {
    if (this.#down !== null) return;
    this.#down = error;
    this.#link.close();
    for (const call of [...this.#calls.values()]) call.reject(error);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) stream.fail(error);
  }

  /** For {@link OpenStream}. */
  abortStream(id: number): void {
    if (!this.#streams.delete(id)) return;
    this.#aborts.push(id);
    this.#flushSoon();
  }

  /** For {@link OpenStream}. */
  grant(id: number, credits: number): void {
    if (!this.#streams.has(id)) return;
    this.#grants.push([id, credits]);
    this.#flushSoon();
  }

  /** Grants and aborts of one tick share a message. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#aborts.length > 0) this.#link.send({ t: 'abort', ids: this.#aborts.splice(0) });
      if (this.#grants.length > 0) this.#link.send({ t: 'credit', grants: this.#grants.splice(0) });
    });
  }

  #receive(frame: FromRank): void {
    switch (frame.t) {
      case 'items':
        for (const [id, item] of frame.items) this.#streams.get(id)?.take(item);
        return;
      case 'end': {
        const stream = this.#streams.get(frame.id);
        this.#streams.delete(frame.id);
        stream?.end(frame.value);
        return;
      }
      case 'result':
        this.#calls.get(frame.id)?.resolve(frame.value);
        return;
      case 'error':
        this.#failed(frame);
        return;
      case 'phase':
        this.#events.phase(frame);
        return;
      default:
        this.#events.violation(new TwinkleError('PROTOCOL', `unexpected frame \`${frame.t}\` from a rank`));
    }
  }

  #failed(frame: Failure): void {
    const code = isErrorCode(frame.code) ? frame.code : 'ENGINE_ERROR';
    const error = new TwinkleError(code, frame.message, {
      ...(frame.param === null ? {} : { param: frame.param }),
      ...(frame.traceback === null ? {} : { details: { traceback: frame.traceback } }),
    });
    this.#calls.get(frame.id)?.reject(error);
    const stream = this.#streams.get(frame.id);
    this.#streams.delete(frame.id);
    stream?.fail(error);
  }
}
