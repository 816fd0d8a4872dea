/**
 * What travels between a head and its clients and agents, on top of transport/peer-frames. Casts: `group` (a GroupStatus, head → client),
 * `to-agent` (a ToAgentBatch, head → agent), `from-agent` (a FromAgentBatch, agent → head). Methods that begin with `work.` are those of
 * {@link AgentTalk}, both ways.
 */
import type { NodeReason } from '../scheduler/types.js';
import type { Peer } from '../transport/peer.js';
import type { ClusterSnapshot, GroupStatus } from './api.js';
import type { ClusterTimers, GroupSpec, NodeHello } from './types.js';

/** How methods begin that are not about reservations. */
export const WORK_METHODS = 'work.';

/** Body of an agent's hello. */
export interface AgentHello extends NodeHello {
  /**
   * What it says of itself to {@link AgentTalk}. There, also as null: everything that it runs ends with its connection, and it joins again
   * as a new incarnation. Absent: it holds reservations on its own for a while.
   */
  readonly talk?: unknown;
}

/** What agents and the head talk about beside reservations (actors, tasks and objects). Told of agents whose hello has `talk`. */
export interface AgentTalk {
  /**
   * Goes to the agent as `talk` of its welcome. What it throws is the refusal.
   * @param talk of its hello
   */
  welcome(node: string, talk: unknown): unknown;
  /** Connected and known to the ledger. */
  joined(node: string, hello: AgentHello, peer: Pick<Peer, 'call' | 'cast'>): void;
  /** A method that begins with `work.`; its value, or the one it resolves to, is the answer. */
  call(node: string, method: string, params: unknown): unknown;
  /** What it throws ends the connection. */
  cast(node: string, method: string, params: unknown): void;
  /** The connection is over, however; the ledger hears it right after. Not told when it is the head that ends. */
  left(node: string, why: string): void;
}

/** Body of a client's hello. */
export interface ClientHello {
  /** Groups that it made and still uses: after a reconnect it is told how they are. */
  readonly groups: readonly string[];
}

/** Body of every welcome. */
export interface HeadWelcome {
  /** Id of the cluster: another one means that everything of before is gone. */
  readonly cluster: string;
  readonly epoch: number;
  readonly timers: ClusterTimers;
  /** For clients: of the groups named in the hello, those that live, and leases that were refused meanwhile. */
  readonly groups: readonly GroupStatus[];
  /** For agents whose hello has `talk`: of {@link AgentTalk}. */
  readonly talk?: unknown;
}

/** Calls of clients. */
export interface ClientCalls {
  'group.create': { readonly params: { readonly spec: GroupSpec }; readonly result: GroupStatus };
  'group.find': {
    readonly params: { readonly name: string; readonly namespace: string };
    readonly result: GroupStatus;
  };
  'group.explain': { readonly params: { readonly id: string }; readonly result: readonly NodeReason[] };
  'group.remove': { readonly params: { readonly id: string }; readonly result: null };
  'cluster.snapshot': { readonly params: null; readonly result: ClusterSnapshot };
}
