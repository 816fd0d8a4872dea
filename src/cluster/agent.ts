/**
 * An agent of another process than its head: holds the reservations of one node, obeys the head while it hears it, and tells when a
 * reservation has run out, so that what runs under it stops. Goes on alone when the head is gone.
 */
import type { Logger } from '../observability/logger.js';
import type { PeerHandlers } from '../transport/peer.js';
import type { PeerCallOptions } from '../transport/peer-calls.js';
import { connectPeer, type PeerConnection, type PeerConnectionState } from '../transport/peer-client.js';
import type { PeerCurve } from '../transport/peer-dial.js';
import { type AgentHello, type HeadWelcome, WORK_METHODS } from './client-protocol.js';
import { type Expired, ReservationTable } from './reservation-table.js';
import type { FromAgentBatch, NodeHello, ToAgentBatch } from './types.js';
import { helloToSpec } from './wire.js';

export interface AgentOptions {
  /** Of the head: `ipc://…`, or `tcp://HOST:PORT` with `curve`. */
  readonly address: string;
  readonly curve?: PeerCurve;
  readonly session: string;
  /** The node; a fresh `incarnation` at each start of an agent. */
  readonly node: Omit<NodeHello, 'held'>;
  readonly log: Logger;
  /** Monotonic ms. */
  readonly nowMs: () => number;
  /** A committed reservation ran out: what runs under it must stop now. */
  readonly onFenced: (expired: Expired) => void;
  /** Ends the attempt to join. */
  readonly signal?: AbortSignal;
  /** ms until a head must have answered; default: that of `connectPeer`. */
  readonly timeoutMs?: number;
  /**
   * What it says of itself beside the node, made at each hello. An agent with this ends with its connection and never dials again: whoever
   * wants to be there still joins anew, as another incarnation.
   */
  readonly talk?: () => unknown;
  /** Who answers methods of the head that begin with `work.`. */
  readonly handlers?: PeerHandlers;
  /** Told of each change after the join, with the reason of a disconnect (empty otherwise). */
  readonly onState?: (state: PeerConnectionState, why: string) => void;
}

export class Agent implements AsyncDisposable {
  readonly #options: AgentOptions;
  readonly #table: ReservationTable;
  #connection: PeerConnection | null = null;
  #timer: NodeJS.Timeout | null = null;

  private constructor(options: AgentOptions) {
    this.#options = options;
    this.#table = new ReservationTable(helloToSpec(options.node));
  }

  /**
   * Join a head. Resolves when it has welcomed the node; from then on the connection is kept up by itself, unless there is `talk`.
   * @throws `HEAD_UNREACHABLE`, or the head's refusal
   */
  static async join(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    const { curve, signal, timeoutMs } = options;
    const connection = await connectPeer({
      address: options.address,
      role: 'agent',
      session: options.session,
      body: () => agent.#hello(),
      handlers: {
        call: (method, params) => (isWork(method) ? options.handlers?.call(method, params) : null),
        cast: (method, params) => {
          if (method === 'to-agent') agent.#obey(params as ToAgentBatch);
          else if (isWork(method)) agent.#told(method, params);
        },
      },
      ...(curve === undefined ? {} : { curve }),
      ...(signal === undefined ? {} : { signal }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    agent.#connection = connection;
    connection.onState((state, why) => agent.#changed(state, why));
    return agent;
  }

  get connected(): boolean {
    return this.#connection?.state === 'connected';
  }

  /** What the head said when it welcomed the node last. */
  get welcome(): HeadWelcome {
    return this.#connected.welcome.body as HeadWelcome;
  }

  /**
   * Ask the head.
   * @throws `HEAD_UNREACHABLE`, what the head threw, `DEADLINE_EXCEEDED`, `ABORTED`, `INVALID_REQUEST`
   */
  call<T = unknown>(method: string, params: unknown, options: PeerCallOptions = {}): Promise<T> {
    return this.#connected.call<T>(method, params, options);
  }

  /** Tell the head. Nothing happens while disconnected. Throws `INVALID_REQUEST` when it cannot be encoded. */
  cast(method: string, params: unknown): void {
    this.#connected.cast(method, params);
  }

  /** What is reserved here. */
  get table(): ReservationTable {
    return this.#table;
  }

  /** Leave: the head moves what was here. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#connection?.close('the agent ends');
  }

  get #connected(): PeerConnection {
    if (this.#connection === null) throw new Error('the agent has not joined');
    return this.#connection;
  }

  #hello(): AgentHello {
    const { node, talk } = this.#options;
    const held = this.#table.held();
    return { ...node, held, ...(talk === undefined ? {} : { talk: talk() ?? null }) };
  }

  #changed(state: PeerConnectionState, why: string): void {
    // At once: it must not say hello again as if nothing had ended.
    if (state === 'disconnected' && this.#options.talk !== undefined) void this.#connection?.close();
    this.#options.onState?.(state, why);
  }

  /** A head that says what means nothing here is left: another try may find another head. */
  #told(method: string, params: unknown): void {
    const { handlers, log, onState } = this.#options;
    try {
      handlers?.cast(method, params);
    } catch (error) {
      const why = `\`${method}\` of the head was not understood: ${error instanceof Error ? error.message : String(error)}`;
      log.error({ method, why }, 'head_misspoke');
      void this.#connection?.close(why);
      onState?.('disconnected', why);
    }
  }

  #obey(batch: ToAgentBatch): void {
    const { node, nowMs } = this.#options;
    const messages = this.#table.apply(batch, nowMs());
    if (messages.length > 0) {
      const answer: FromAgentBatch = { incarnation: node.incarnation, messages };
      this.#connection?.cast('from-agent', answer);
    }
    this.#expire();
  }

  #expire(): void {
    const { log, nowMs, onFenced } = this.#options;
    for (const expired of this.#table.expire(nowMs())) {
      log.warn({ ...expired }, 'reservation_expired');
      if (expired.committed) onFenced(expired);
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    const next = this.#table.nextExpiryMs();
    this.#timer = next === null ? null : setTimeout(() => this.#expire(), Math.max(0, next - nowMs()));
  }
}

function isWork(method: string): boolean {
  return method.startsWith(WORK_METHODS);
}
