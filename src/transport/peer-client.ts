/**
 * A process's connection with its head: connects, says hello, and does so again by itself whenever the connection was lost. It keeps its
 * process alive until closed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TwinkleError } from '../errors.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { Emitter } from '../util/emitter.js';
import { processStat } from '../util/proc-stat.js';
import type { Peer, PeerClose, PeerHandlers } from './peer.js';
import type { PeerCallOptions } from './peer-calls.js';
import { Dial, type PeerCurve } from './peer-dial.js';
import { type Hello, PEER_PROTOCOL, type Welcome } from './peer-frames.js';

export interface PeerConnectOptions {
  /** `ipc:///folder/file` or `tcp://host:port`. */
  readonly address: string;
  readonly role: string;
  /** Names this process to the head across its connections. */
  readonly session: string;
  /** What the role says of itself: asked anew at each hello. */
  body(): unknown;
  readonly handlers: PeerHandlers;
  readonly curve?: PeerCurve;
  /** For the first welcome, in ms; default 5000. */
  readonly timeoutMs?: number;
  /** Ends the first attempt; afterwards it means nothing. */
  readonly signal?: AbortSignal;
  /** Between beats, in ms; default 500. */
  readonly pingMs?: number;
  /** Silence that counts as disconnected, in ms; default 2000. */
  readonly silentMs?: number;
}

export type PeerConnectionState = 'connected' | 'disconnected';

/** Before the next attempt, in ms: after one that never stood, and after a refusal. A connection that was lost is dialled again at once. */
const PAUSE_MS = 100;
const REFUSED_PAUSE_MS = 1000;

/** Open with {@link connectPeer}. */
export class PeerConnection implements AsyncDisposable {
  readonly session: string;
  readonly #options: PeerConnectOptions;
  readonly #events = new Emitter<{ state(state: PeerConnectionState, why: string): void }>();
  readonly #first: Deferred<void>;
  readonly #ending = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #dial: Dial | null = null;
  #pausing: Promise<void> | null = null;
  #welcome: Welcome | null = null;
  #heardMs = performance.now();
  /** How the last connection or attempt ended. */
  #lost: string | null = null;
  #stands = false;

  /** @param first settles the promise of {@link connectPeer} */
  constructor(options: PeerConnectOptions, first: Deferred<void>) {
    this.#options = options;
    this.#first = first;
    this.session = options.session;
    const pingMs = options.pingMs ?? 500;
    const silentTicks = Math.max(1, Math.ceil((options.silentMs ?? 2000) / pingMs));
    this.#dialAgain();
    this.#timer = setInterval(() => this.#dial?.tick(silentTicks), pingMs);
  }

  get state(): PeerConnectionState {
    return this.#peer === null ? 'disconnected' : 'connected';
  }

  /** What the head said in its last welcome. `head` is random per start of the head. */
  get welcome(): { readonly head: string; readonly body: unknown } {
    return { head: this.#welcome?.head ?? '', body: this.#welcome?.body ?? null };
  }

  /** When the head was last heard: ms of `performance.now()` of this process. */
  get lastHeardMs(): number {
    return this.#peer?.lastHeardMs ?? this.#heardMs;
  }

  /** Why it is not connected, for people; empty when it is. */
  get why(): string {
    if (this.state === 'connected') return '';
    const stage = this.#dial?.stage ?? null;
    if (this.#lost === null || stage === null) return this.#lost ?? stage ?? '';
    return `${this.#lost}; now ${stage}`;
  }

  /** Called at each change, with the reason of a disconnect (empty otherwise); returns how to stop. */
  onState(listener: (state: PeerConnectionState, why: string) => void): () => void {
    return this.#events.on('state', listener);
  }

  /**
   * As {@link Peer.call}. While disconnected it fails at once.
   * @throws `HEAD_UNREACHABLE`, what the head threw, `DEADLINE_EXCEEDED`, `ABORTED`, `INVALID_REQUEST`
   */
  call<T = unknown>(method: string, params: unknown, options: PeerCallOptions = {}): Promise<T> {
    const peer = this.#peer;
    return peer === null ? Promise.reject(this.#unreachable()) : peer.call<T>(method, params, options);
  }

  /** As {@link Peer.cast}. While disconnected it is dropped: the next hello says everything. */
  cast(method: string, params: unknown): void {
    this.#peer?.cast(method, params);
  }

  /** Take leave of the head; open calls fail. Idempotent; resolves when nothing of it is left. */
  async close(reason = 'it ended'): Promise<void> {
    this.#ending.abort();
    clearInterval(this.#timer);
    const dial = this.#dial;
    this.#dial = null;
    await dial?.close(reason);
    await this.#pausing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  get #peer(): Peer | null {
    return this.#dial?.peer ?? null;
  }

  #unreachable(): TwinkleError {
    const text = `there is no connection with the head at \`${this.#options.address}\`: ${this.why}`;
    return new TwinkleError('HEAD_UNREACHABLE', `${text}; it is tried again by itself`);
  }

  #dialAgain(): void {
    const { address, curve, handlers } = this.#options;
    this.#dial = new Dial({
      address,
      curve: curve ?? null,
      handlers,
      hello: () => this.#hello(),
      welcomed: (welcome) => this.#connected(welcome),
      over: (close, refusal) => this.#over(close, refusal),
    });
  }

  #hello(): Hello {
    return {
      t: 'hello',
      protocol: PEER_PROTOCOL,
      role: this.#options.role,
      session: this.session,
      pid: process.pid,
      pid_start: processStat(process.pid)?.start ?? '',
      body: this.#options.body(),
    };
  }

  #connected(welcome: Welcome): void {
    this.#welcome = welcome;
    this.#stands = true;
    this.#first.resolve();
    this.#events.emit('state', 'connected', '');
  }

  #over(close: PeerClose, refusal: TwinkleError | null): void {
    const stood = this.#stands;
    // Leases run from here: not from now, which may be a whole silence later.
    this.#heardMs = this.#dial?.lastHeardMs ?? this.#heardMs;
    this.#stands = false;
    this.#dial = null;
    this.#lost = close.reason;
    if (this.#ending.signal.aborted) return;
    if (refusal !== null) this.#first.reject(refusal);
    this.#pausing = this.#pause(refusal !== null ? REFUSED_PAUSE_MS : stood ? 0 : PAUSE_MS);
    if (stood) this.#events.emit('state', 'disconnected', close.reason);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#ending;
    for (let pause = ms; !signal.aborted; pause = REFUSED_PAUSE_MS) {
      try {
        await sleep(pause, undefined, { signal });
        this.#dialAgain();
        return;
      } catch (error) {
        // Closed meanwhile, or no socket could be made just now.
        this.#lost = String(error);
      }
    }
  }
}

/**
 * Connect with a head and wait for its welcome. The handlers hear nothing before this has resolved.
 * @throws `HEAD_UNREACHABLE` when nobody answered in time, the head's words when it refused, `CONFIG_INVALID` for an address or key that
 * cannot be read, the signal's reason
 */
export async function connectPeer(options: PeerConnectOptions): Promise<PeerConnection> {
  const { signal, timeoutMs = 5000, address } = options;
  signal?.throwIfAborted();
  const first = deferred<void>();
  const connection = new PeerConnection(options, first);
  const late = (): void => {
    const text = `no head answered at \`${address}\` within ${timeoutMs} ms (${connection.why})`;
    const advice =
      'see whether one runs there with `twinkle-node status`, or start one with `twinkle-node start --head`';
    first.reject(new TwinkleError('HEAD_UNREACHABLE', `${text}: ${advice}`));
  };
  const timer = setTimeout(late, timeoutMs);
  const withdraw = (): void => first.reject(signal?.reason);
  signal?.addEventListener('abort', withdraw, { once: true });
  try {
    await first.promise;
    return connection;
  } catch (error) {
    await connection.close();
    throw error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', withdraw);
  }
}
