/**
 * Keeps a box with its head: joins, and joins anew whenever the connection was lost, each time as another incarnation of the node. What runs
 * here for the head ends before the box joins again, so nothing of before is left that the head does not know.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Agent } from '../cluster/agent.js';
import type { HeadWelcome } from '../cluster/client-protocol.js';
import type { NodeHello } from '../cluster/types.js';
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { PeerHandlers } from '../transport/peer.js';
import type { PeerCurve } from '../transport/peer-dial.js';
import { deferred } from '../util/deferred.js';
import { freshIncarnation } from './own-node-facts.js';

/** What a box runs for its head, from before one hello to the end of that connection. */
export interface AgentWork extends AsyncDisposable {
  /** Goes along with the hello: what the head must know of it, such as a port. */
  readonly talk: unknown;
  /** Who answers methods of the head that begin with `work.`: from the welcome on, before `joined` has resolved. */
  readonly handlers: PeerHandlers;
  /** The head has welcomed the node. Resolves when it can be called ready. What it throws ends the attempt. */
  joined(agent: Agent, welcome: HeadWelcome): Promise<void>;
}

export interface AgentLinkOptions {
  /** `tcp://HOST:PORT` of the head. */
  readonly address: string;
  readonly curve: PeerCurve;
  readonly session: string;
  readonly node: Omit<NodeHello, 'held' | 'incarnation'>;
  readonly log: Logger;
  /** Made anew for each time that the box joins; null: it holds reservations, and runs nothing. */
  readonly work: (() => Promise<AgentWork>) | null;
  /** ms until the head must have answered at first. */
  readonly timeoutMs: number;
  /** Ends the first attempt. */
  readonly signal?: AbortSignal;
}

/** One time with the head. */
interface Stay extends AsyncDisposable {
  /** Resolves with why it is over. */
  readonly over: Promise<string>;
}

/** After an attempt that was refused, or for which something was missing here. */
const PAUSE_MS = 1000;
/** The longest that a timer can wait: the head may be away for as long as it likes. */
const FOREVER_MS = 2 ** 31 - 1;

export class AgentLink implements AsyncDisposable {
  readonly #options: AgentLinkOptions;
  readonly #ending = new AbortController();
  #stay: Stay | null = null;
  #reason: string | null = null;
  #joinedAt = Date.now();
  #staying: Promise<void> = Promise.resolve();

  private constructor(options: AgentLinkOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the box has joined and its work is ready.
   * @throws `HEAD_UNREACHABLE`, the head's refusal, what the work throws
   */
  static async open(options: AgentLinkOptions): Promise<AgentLink> {
    const link = new AgentLink(options);
    link.#stay = await stayWith(options, options.timeoutMs, options.signal);
    link.#staying = link.#keep();
    return link;
  }

  /** Why it is not with its head, for people; null: it is. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Unix ms of the last time that it joined. */
  get joinedAt(): number {
    return this.#joinedAt;
  }

  /** End what runs here, and take leave of the head. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#reason ??= 'it is ending';
    this.#ending.abort();
    await this.#staying;
  }

  async #keep(): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#ending;
    const ended = new Promise<null>((resolve) => signal.addEventListener('abort', () => resolve(null), { once: true }));
    for (let stay = this.#stay; stay !== null; stay = await this.#again()) {
      const why = await Promise.race([stay.over, ended]);
      if (why !== null) {
        this.#reason = why;
        log.warn({ why }, 'head_lost');
      }
      try {
        await stay[Symbol.asyncDispose]();
      } catch (error) {
        log.error({ error: String(error) }, 'work_not_ended');
      }
    }
  }

  /** Join again, however long it takes; null: it is ending. */
  async #again(): Promise<Stay | null> {
    const { log } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      try {
        const stay = await stayWith(this.#options, FOREVER_MS, signal);
        this.#reason = signal.aborted ? 'it is ending' : null;
        this.#joinedAt = Date.now();
        log.info({}, 'head_joined_again');
        return stay;
      } catch (error) {
        if (signal.aborted) break;
        this.#reason = error instanceof Error ? error.message : String(error);
        log.warn({ why: this.#reason }, 'join_failed');
        await sleep(PAUSE_MS, undefined, { signal }).catch(() => {});
      }
    }
    return null;
  }
}

async function stayWith(options: AgentLinkOptions, timeoutMs: number, signal: AbortSignal | undefined): Promise<Stay> {
  const { address, curve, session, node, log } = options;
  const over = deferred<string>();
  const work = (await options.work?.()) ?? null;
  let agent: Agent | null = null;
  const end = async (): Promise<void> => {
    // First what runs: the head may give its devices away when it hears us leave.
    try {
      await work?.[Symbol.asyncDispose]();
    } finally {
      await agent?.[Symbol.asyncDispose]();
    }
  };
  try {
    agent = await Agent.join({
      ...{ address, curve, session, log, timeoutMs },
      ...(signal === undefined ? {} : { signal }),
      node: { ...node, incarnation: freshIncarnation() },
      nowMs: () => performance.now(),
      onFenced: ({ group }) => over.resolve(`the head was silent for so long that ${group} ran out`),
      onState: (state, why) => {
        if (state === 'disconnected') over.resolve(why);
      },
      talk: () => work?.talk ?? null,
      ...(work === null ? {} : { handlers: work.handlers }),
    });
    const lost = over.promise.then((why): never => {
      throw new TwinkleError('HEAD_UNREACHABLE', `the connection with the head was lost at once: ${why}`);
    });
    await Promise.race([work?.joined(agent, agent.welcome), lost]);
    return { over: over.promise, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}
