/**
 * Agents that are connected with a head: their nodes come to the ledger, what they run to who runs it, and both hear when one is over.
 * Knows no hub.
 */
import { TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import type { Peer, PeerHandlers } from '../transport/peer.js';
import type { Hello } from '../transport/peer-frames.js';
import { type AgentHello, type AgentTalk, WORK_METHODS } from './client-protocol.js';
import type { JournaledLedger } from './journaled-ledger.js';
import type { FromAgentBatch, ToAgentBatch } from './types.js';

export interface HeadAgentsOptions {
  /** Null: nothing but reservations is talked about. */
  readonly talk: AgentTalk | null;
  readonly log: Logger;
  /** Resolves when the process of that session is gone; null when it cannot be seen from here. Asked of peers of this box only. */
  watch(session: string): Promise<void> | null;
}

export class HeadAgents {
  readonly #options: HeadAgentsOptions;
  readonly #peers = new Map<string, Peer>();
  #core: JournaledLedger | null = null;
  #ownNode: string | null = null;
  #closing = false;

  constructor(options: HeadAgentsOptions) {
    this.#options = options;
  }

  /** @param ownNode id of the head's own node, which nobody else may be; null: it has none */
  open(core: JournaledLedger, ownNode: string | null): void {
    this.#core = core;
    this.#ownNode = ownNode;
  }

  /** The head ends, and with it what it knows: connections that end from here on change nothing in the ledger, which the next head takes over. */
  close(): void {
    this.#closing = true;
  }

  /** To the agent of a node, if it is connected. */
  send(node: string, batch: ToAgentBatch): void {
    this.#peers.get(node)?.cast('to-agent', batch);
  }

  /** The ledger takes that node for dead, and hears it only when it says hello again: so it must connect again. */
  dismiss(node: string): void {
    // Told after the journal has it: the node may have joined anew since.
    if (this.#core?.state.status().node(node)?.state === 'dead') {
      this.#peers.get(node)?.close('taken for dead: join again');
    }
  }

  /**
   * Whether it may join; what `talk` of its welcome is.
   * @param outside it came from another box
   * @throws `PROTOCOL`, `CONFIG_INVALID` when its node is another's, what {@link AgentTalk.welcome} throws
   */
  admit(hello: Hello, outside: boolean): { readonly talk?: unknown } {
    const { id, name, talk } = readAgentHello(hello.body);
    // Two boxes with one id would take each other's place for ever.
    const earlier = outside ? this.#peers.get(id) : undefined;
    const rival = earlier !== undefined && earlier.session !== hello.session && earlier.quietTicks === 0;
    if (rival || id === this.#ownNode) {
      const who = rival ? `an agent (pid ${earlier?.hello.pid})` : 'the head itself';
      throw new TwinkleError(
        'CONFIG_INVALID',
        `${name} joins as node ${id}, which ${who} is already: its home folder is in use, or was copied; give it another one with --home or TWINKLE_HOME`,
      );
    }
    const offered = this.#options.talk;
    return talk === undefined || offered === null ? {} : { talk: offered.welcome(id, talk) };
  }

  /** It was welcomed. */
  joined(peer: Peer, outside: boolean): void {
    const hello = peer.hello.body as AgentHello;
    const { talk: said, ...node } = hello;
    const { id } = node;
    const ends = said !== undefined;
    const earlier = this.#peers.get(id);
    if (earlier !== undefined && hasTalk(earlier)) earlier.close('its node has joined again');
    this.#peers.set(id, peer);
    try {
      this.#ledger.enter((ledger) => ledger.nodeHello(node));
    } catch (error) {
      this.#peers.delete(id);
      const why = error instanceof Error ? error.message : String(error);
      this.#options.log.warn({ node: id, why }, 'node_refused');
      peer.close(why);
      return;
    }
    const left = (why: string): void => {
      if (this.#peers.get(id) !== peer) return;
      this.#peers.delete(id);
      if (this.#closing) return;
      if (ends) this.#options.talk?.left(id, why);
      this.#ledger.enter((ledger) => ledger.nodeLeft(id, why));
    };
    if (!outside) void this.#options.watch(peer.session)?.then(() => left('its process ended'));
    peer.onClose(({ cause, reason }) => {
      if (cause === 'bye') left('it left');
      else if (ends) left(reason);
      // Otherwise it is silent: the ledger's timers decide, and it may come back.
    });
    if (ends) this.#options.talk?.joined(id, hello, peer);
  }

  /** Who answers an agent. */
  handlers(peer: Peer): PeerHandlers {
    const { id } = peer.hello.body as AgentHello;
    const talk = hasTalk(peer) ? this.#options.talk : null;
    const current = (): boolean => this.#peers.get(id) === peer; // else a straggler of a connection before
    return {
      call: (method, params) => {
        if (talk === null || !method.startsWith(WORK_METHODS)) {
          throw new TwinkleError('PROTOCOL', `an agent may not call \`${method}\``);
        }
        if (!current()) throw new TwinkleError('CHANNEL_CLOSED', `node ${id} is not connected by this any more`);
        return talk.call(id, method, params);
      },
      cast: (method, params) => {
        const work = talk !== null && method.startsWith(WORK_METHODS);
        if (!work && method !== 'from-agent') throw new TwinkleError('PROTOCOL', `an agent may not cast \`${method}\``);
        if (!current()) return;
        if (work) this.#told(peer, talk, method, params);
        else this.#ledger.enter((ledger) => ledger.receive(id, params as FromAgentBatch));
      },
    };
  }

  /** An agent that says what means nothing is not listened to any more; the head, and all other boxes, go on. */
  #told(peer: Peer, talk: AgentTalk, method: string, params: unknown): void {
    const { id } = peer.hello.body as AgentHello;
    try {
      talk.cast(id, method, params);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.log.error({ node: id, method, why }, 'agent_misspoke');
      peer.close(`\`${method}\` was not understood: ${why}`);
    }
  }

  get #ledger(): JournaledLedger {
    if (this.#core === null) throw new Error('the head is not open');
    return this.#core;
  }
}

function hasTalk(peer: Peer): boolean {
  return (peer.hello.body as AgentHello).talk !== undefined;
}

const TEXTS = ['id', 'name', 'address', 'incarnation', 'version'] as const;
const MAPS = ['total', 'labels', 'devices'] as const;

function readAgentHello(body: unknown): AgentHello {
  const fields = (typeof body === 'object' && body !== null ? body : {}) as Readonly<Record<string, unknown>>;
  const wrong = [
    ...TEXTS.filter((name) => typeof fields[name] !== 'string'),
    ...MAPS.filter((name) => typeof fields[name] !== 'object' || fields[name] === null),
    ...(Array.isArray(fields.held) ? [] : ['held']),
  ];
  if (wrong.length > 0) throw new TwinkleError('PROTOCOL', `an agent's hello has no valid \`${wrong[0]}\``);
  return body as AgentHello;
}
