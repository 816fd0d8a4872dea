/**
 * What travels between a head and its clients and agents, on top of transport/peer-frames. Casts: `group` (a GroupStatus, head → client),
 * `to-agent` (a ToAgentBatch, head → agent), `from-agent` (a FromAgentBatch, agent → head).
 */
import type { NodeReason } from '../scheduler/types.js';
import type { ClusterSnapshot, GroupStatus } from './api.js';
import type { ClusterTimers, GroupSpec, NodeHello } from './types.js';

/** Body of an agent's hello. */
export type AgentHello = NodeHello;

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
