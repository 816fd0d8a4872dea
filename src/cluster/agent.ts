/**
 * An agent of another process than its head: holds the reservations of one node, obeys the head while it hears it, and tells when a
 * reservation has run out, so that what runs under it stops. Goes on alone when the head is gone.
 */
import type { Logger } from '../observability/logger.js';
import { connectPeer, type PeerConnection } from '../transport/peer-client.js';
import { type Expired, ReservationTable } from './reservation-table.js';
import type { FromAgentBatch, NodeHello, ToAgentBatch } from './types.js';
import { helloToSpec } from './wire.js';

export interface AgentOptions {
  /** Of the head. */
  readonly address: string;
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
   * Join a head. Resolves when it has welcomed the node; from then on the connection is kept up by itself.
   * @throws `HEAD_UNREACHABLE`, or the head's refusal
   */
  static async join(options: AgentOptions): Promise<Agent> {
    const agent = new Agent(options);
    agent.#connection = await connectPeer({
      address: options.address,
      role: 'agent',
      session: options.session,
      body: () => ({ ...options.node, held: agent.#table.held() }),
      handlers: {
        call: () => null,
        cast: (method, params) => {
          if (method === 'to-agent') agent.#obey(params as ToAgentBatch);
        },
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    });
    return agent;
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
