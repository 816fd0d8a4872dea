/** What the users of a cluster see: the same whether its ledger is in this process or in a head that answers over a socket. Plain JSON. */
import type { NodeReason } from '../scheduler/types.js';
import type { GroupSpec, GroupState, Hold, NodeState, Quantities, SchedulingState } from './types.js';

/** A device as a bundle holds it. */
export interface SeatDevice {
  /** `GPU`, `NPU`, … */
  readonly resource: string;
  /** Instance on its node, as Ray counts: 0 is the first that the node offers. */
  readonly instance: number;
  readonly uuid: string;
  /** 1, or the fraction held. */
  readonly quantity: number;
}

export interface BundleStatus {
  readonly index: number;
  readonly resources: Quantities;
  /** Null: not placed. */
  readonly node: string | null;
  readonly devices: readonly SeatDevice[];
}

export interface GroupStatus {
  readonly id: string;
  /** A lease is one bundle that was placed as a task or actor is. Lists for people have groups only. */
  readonly kind: 'group' | 'lease';
  readonly name: string;
  readonly namespace: string;
  readonly lifetime: 'owner' | 'detached';
  readonly owner: string | null;
  /** Of a lease: `default`, `spread`, `node-affinity`. */
  readonly strategy: string;
  readonly hold: Hold;
  readonly state: GroupState;
  readonly scheduling: SchedulingState;
  readonly reason: string | null;
  readonly position: number | null;
  readonly attempts: number;
  /** Unix ms. */
  readonly createdAt: number;
  readonly bundles: readonly BundleStatus[];
}

export interface NodeDeviceStatus {
  readonly resource: string;
  readonly instance: number;
  readonly uuid: string;
  readonly numa: number | null;
  /** 0 to 1. */
  readonly free: number;
  readonly heldBy: readonly { readonly group: string; readonly bundle: number; readonly quantity: number }[];
}

export interface NodeStatus {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  readonly silentMs: number;
  readonly version: string;
  readonly pid: number | null;
  /** Totals. */
  readonly resources: Quantities;
  readonly available: Quantities;
  readonly labels: Readonly<Record<string, string>>;
  readonly devices: readonly NodeDeviceStatus[];
}

/** Everything that the ledger knows, at one version. */
export interface ClusterSnapshot {
  /** Random, made once per cluster; survives restarts of its head. */
  readonly cluster: string;
  readonly epoch: number;
  /** Grows with every change. */
  readonly version: number;
  readonly nodes: readonly NodeStatus[];
  /** Groups and leases that live, and the groups that were removed last. */
  readonly groups: readonly GroupStatus[];
}

/** A placement group that somebody here made. */
export interface Group {
  readonly id: string;
  /** As last heard. */
  readonly status: GroupStatus;
  /**
   * Resolves when every bundle has its place.
   * @throws `GROUP_REMOVED`, `TASK_UNSCHEDULABLE` (a lease whose strategy allows no node any more), `DEADLINE_EXCEEDED` after
   * `timeoutMs` (with the reason per node), the signal's reason
   */
  ready(options?: { readonly signal?: AbortSignal; readonly timeoutMs?: number }): Promise<GroupStatus>;
  /** Called at every change from now on; returns how to stop. */
  onChange(listener: (status: GroupStatus) => void): () => void;
  /** Why each node does not take what waits; empty when nothing waits. */
  explain(): Promise<readonly NodeReason[]>;
  /** Idempotent. Whoever used its devices must have stopped. */
  remove(): Promise<void>;
}

/** A cluster: in this process, or behind a head. */
export interface Cluster extends AsyncDisposable {
  /** `own`: ends with this process. */
  readonly kind: 'own' | 'head';
  /** False while its head is away. */
  readonly connected: boolean;
  /**
   * Make a group; it waits until there is room.
   * @throws `PLACEMENT_INVALID`, `GROUP_NAME_TAKEN`, `HEAD_UNREACHABLE`
   */
  createGroup(spec: GroupSpec): Promise<Group>;
  snapshot(): Promise<ClusterSnapshot>;
  /** Called when the head goes away (false) and when it is back; returns how to stop. */
  onConnection(listener: (connected: boolean) => void): () => void;
}
