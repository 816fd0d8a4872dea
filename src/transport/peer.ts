/**
 * One connection with one peer, the same on both ends: calls, casts, answers, beats. What is sent in one tick travels in one message, in
 * order. Knows frames; whose socket carries them, and when a connection is over, its owner decides.
 */
import { TwinkleError } from '../errors.js';
import { Emitter } from '../util/emitter.js';
import { type PeerCallOptions, PeerCalls } from './peer-calls.js';
import { decodePeerFrame, encodePeerFrame, errorOf, failedFrame, type Hello, type PeerFrame } from './peer-frames.js';

/** What the other side may ask here. */
export interface PeerHandlers {
  /** Its value, or the one it resolves to, is the answer; a thrown {@link TwinkleError} crosses with code, message and details. */
  call(method: string, params: unknown): unknown;
  /** What it throws is an unhandled error of its own tick: a cast has nobody to answer to. */
  cast(method: string, params: unknown): void;
}

/**
 * Why a connection ended. `closed`: here; `bye`: by the other side; `gone`: its socket ended; `silent`: nothing was heard for too long;
 * `replaced`: its session connected again; `protocol`: it broke the contract.
 */
export type PeerCloseCause = 'closed' | 'bye' | 'gone' | 'silent' | 'replaced' | 'protocol';

export interface PeerClose {
  readonly cause: PeerCloseCause;
  /** For people. */
  readonly reason: string;
}

/** What a peer needs of the socket it lives on. */
export interface PeerWire {
  /** Send one message of these parts, or end the peer if that cannot be. */
  post(peer: Peer, parts: Buffer[]): void;
  /** The peer is over: forget it. */
  ended(peer: Peer, close: PeerClose): void;
}

export interface PeerOptions {
  readonly hello: Hello;
  readonly wire: PeerWire;
  /** Code of calls that were open when the connection ended. */
  readonly lostCode: 'HEAD_UNREACHABLE' | 'CHANNEL_CLOSED';
}

const PING = encodePeerFrame({ t: 'ping' });
const PONG = encodePeerFrame({ t: 'pong' });

export class Peer {
  /** As the client said it. */
  readonly hello: Hello;
  readonly #wire: PeerWire;
  readonly #lostCode: PeerOptions['lostCode'];
  readonly #events = new Emitter<{ close(close: PeerClose): void }>();
  readonly #calls = new PeerCalls();
  #handlers: PeerHandlers | null = null;
  #outbox: Buffer[] = [];
  #flushing = false;
  #closed: PeerClose | null = null;
  #heardMs = performance.now();
  #heard = true;
  #sent = false;
  #quietTicks = 0;

  constructor(options: PeerOptions) {
    this.hello = options.hello;
    this.#wire = options.wire;
    this.#lostCode = options.lostCode;
  }

  get session(): string {
    return this.hello.session;
  }

  /** When anything was last heard: ms of `performance.now()` of this process. */
  get lastHeardMs(): number {
    return this.#heardMs;
  }

  /** Why it is over; null while it is not. */
  get closed(): PeerClose | null {
    return this.#closed;
  }

  /** Ticks of the owner's clock in which nothing was heard, up to now. */
  get quietTicks(): number {
    return this.#quietTicks;
  }

  /**
   * One question, one answer.
   * @throws what the other side threw; `DEADLINE_EXCEEDED`, `ABORTED`, `INVALID_REQUEST` (cannot be encoded), and `HEAD_UNREACHABLE` (on a
   * client) or `CHANNEL_CLOSED` (on a hub) when the connection ends first
   */
  call<T = unknown>(method: string, params: unknown, options: PeerCallOptions = {}): Promise<T> {
    if (this.#closed !== null) return Promise.reject(this.#lost(method, this.#closed));
    return this.#calls.open<T>(method, options, (id) => this.#push(encodePeerFrame({ t: 'call', id, method, params })));
  }

  /** Tell the other side. Nothing happens when the connection is over. Throws `INVALID_REQUEST` when it cannot be encoded. */
  cast(method: string, params: unknown): void {
    if (this.#closed === null) this.#push(encodePeerFrame({ t: 'cast', method, params }));
  }

  /** Take leave. Idempotent. */
  close(reason = 'closed'): void {
    this.leave({ cause: 'closed', reason });
  }

  /** Called once when the connection ends, at once if it has; returns how to stop. */
  onClose(listener: (close: PeerClose) => void): () => void {
    const closed = this.#closed;
    if (closed === null) return this.#events.on('close', listener);
    queueMicrotask(() => listener(closed));
    return () => {};
  }

  /** For the owner: who answers what comes. Nothing is taken before. */
  serve(handlers: PeerHandlers): void {
    this.#handlers = handlers;
  }

  /** For the owner: send a frame of its own. */
  say(frame: PeerFrame): void {
    if (this.#closed === null) this.#push(encodePeerFrame(frame));
  }

  /** For the owner: the parts of one message, from index `from`. A part that breaks the contract ends the peer. */
  take(parts: readonly Buffer[], from: number): void {
    this.#heardMs = performance.now();
    this.#heard = true;
    this.#quietTicks = 0;
    for (let at = from; at < parts.length && this.#closed === null; at++) {
      let frame: PeerFrame;
      try {
        frame = decodePeerFrame(parts[at] as Buffer);
      } catch (error) {
        this.leave({ cause: 'protocol', reason: error instanceof Error ? error.message : String(error) });
        return;
      }
      this.#receive(frame);
    }
  }

  /**
   * For the owner, once per interval. Counts intervals in which nothing came, rather than time: a process that was itself stopped for a
   * minute has seen one silent interval, not a minute of silence. Pings when nothing was heard, and with `keep` also when nothing was sent.
   */
  tick(keep: boolean): void {
    if (this.#closed !== null) return;
    if (!this.#heard) this.#quietTicks += 1;
    if (!this.#heard || (keep && !this.#sent)) this.#push(PING);
    this.#heard = false;
    this.#sent = false;
  }

  /** For the owner: say bye and end. */
  leave(close: PeerClose): void {
    if (this.#closed !== null) return;
    this.#push(encodePeerFrame({ t: 'bye', reason: close.reason }));
    this.#flush();
    this.end(close);
  }

  /** For the owner: the connection is over; nothing more is sent. Idempotent. */
  end(close: PeerClose): void {
    if (this.#closed !== null) return;
    this.#closed = close;
    this.#outbox = [];
    this.#wire.ended(this, close);
    this.#calls.fail((method) => this.#lost(method, close));
    this.#events.emit('close', close);
  }

  #receive(frame: PeerFrame): void {
    switch (frame.t) {
      case 'call':
        this.#answer(frame.id, frame.method, frame.params);
        return;
      case 'result':
        this.#calls.resolve(frame.id, frame.value);
        return;
      case 'error':
        this.#calls.reject(frame.id, errorOf(frame.code, frame.message, frame.details));
        return;
      case 'cast':
        this.#tell(frame.method, frame.params);
        return;
      case 'ping':
        this.#push(PONG);
        return;
      case 'pong':
        return;
      case 'bye':
        this.end({ cause: 'bye', reason: frame.reason });
        return;
      default:
        this.leave({ cause: 'protocol', reason: `a peer sent \`${frame.t}\` where it has no meaning` });
    }
  }

  #answer(id: number, method: string, params: unknown): void {
    const fail = (error: unknown): void => {
      try {
        this.say(failedFrame(id, error));
      } catch (unsayable) {
        this.say(failedFrame(id, unsayable));
      }
    };
    const reply = (value: unknown): void => {
      try {
        this.say({ t: 'result', id, value });
      } catch (error) {
        fail(error);
      }
    };
    let value: unknown;
    try {
      value = this.#handlers?.call(method, params);
    } catch (error) {
      fail(error);
      return;
    }
    if (value instanceof Promise) value.then(reply, fail);
    else reply(value);
  }

  #tell(method: string, params: unknown): void {
    try {
      this.#handlers?.cast(method, params);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  #push(part: Buffer): void {
    this.#outbox.push(part);
    if (this.#flushing) return;
    this.#flushing = true;
    // Not a microtask: answers that promises of one turn bring are sent together, once those have all run.
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#outbox.length === 0) return;
    const parts = this.#outbox;
    this.#outbox = [];
    this.#sent = true;
    this.#wire.post(this, parts);
  }

  #lost(method: string, close: PeerClose): TwinkleError {
    const side = this.#lostCode === 'HEAD_UNREACHABLE' ? 'the head' : `the ${this.hello.role} \`${this.session}\``;
    const text = `the connection with ${side} ended before \`${method}\` was answered: ${close.reason}`;
    return new TwinkleError(this.#lostCode, text, { details: { cause: close.cause } });
  }
}
