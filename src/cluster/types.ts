/**
 * The words of the ledger. The ledger is a machine without I/O: messages, calls and the clock go in, messages to agents, journal records and
 * events come out. One agent per node owns what is reserved there; the head only knows, and the two agree by two phases and leases.
 */
import type { Grant, NodeSpec, Strategy, TaskStrategy } from '../scheduler/types.js';

/** A resource demand as users write it: `{ GPU: 1, CPU: 0.5 }`. */
export type Quantities = Readonly<Record<string, number>>;

/**
 * What may go on without the head. `stateful` (training, actors): stops by itself when the fencing lease ends. `serving`: answers on under
 * its epoch until `graceMs` have passed.
 */
export type Hold = 'stateful' | 'serving';

/** How a lease finds its node: the rules of a task or actor that is in no group. */
export interface TaskPlacementSpec {
  readonly strategy: TaskStrategy;
  /** Node that the default strategy tries first: the box of who asks. Null: none. */
  readonly preferred: string | null;
  /** Selectors that are tried in order where no node satisfies `selectors` of the spec. */
  readonly fallbacks: readonly Readonly<Record<string, string>>[];
  /** What must be free for it to be placed, where that is more than it holds: Ray places an idle actor by 1 CPU. Null: what it holds. */
  readonly needs: Quantities | null;
}

/**
 * A placement group as created, or a lease: one bundle whose node is chosen as a task's is. `requestOf` of request-of.ts checks it.
 */
export interface GroupSpec {
  /** Empty: none. Unique in the namespace. */
  readonly name: string;
  readonly namespace: string;
  readonly lifetime: 'owner' | 'detached';
  readonly strategy: Strategy;
  /** Ray's topology strategy: one value of this label holds all bundles. Null: anywhere. */
  readonly domainLabel: string | null;
  readonly bundles: readonly Quantities[];
  /** By bundle: label → `v`, `!v`, `in(a,b)`, `!in(a,b)`. Null: none at all. */
  readonly selectors: readonly Readonly<Record<string, string>>[] | null;
  readonly softTarget: string | null;
  /** Bundles that follow each other and want linked devices; 1: none. */
  readonly tensorParallel: number;
  readonly hold: Hold;
  /** A lease: one bundle, which may be empty, and nothing of a group's strategy. Null: a group. */
  readonly task: TaskPlacementSpec | null;
}

/** Ray's words for groups. A PENDING group says why in {@link SchedulingState}. */
export type GroupState = 'PENDING' | 'CREATED' | 'RESCHEDULING' | 'REMOVED';

/** `UNSCHEDULABLE`: a lease that was REMOVED because its strategy allows no node any more. */
export type SchedulingState =
  | 'QUEUED'
  | 'PREPARING'
  | 'NO_RESOURCES'
  | 'INFEASIBLE'
  | 'FINISHED'
  | 'REMOVED'
  | 'UNSCHEDULABLE';

/** Where a bundle is. */
export interface BundleSeat {
  readonly node: string;
  readonly grant: Grant;
  /** The reservation that holds it. */
  readonly txn: string;
}

/** A group as it is now: a snapshot, never changed after it was handed out. */
export interface GroupView {
  readonly id: string;
  readonly spec: GroupSpec;
  /** Session of the client that made it; null once it is detached or that client is gone. */
  readonly owner: string | null;
  readonly state: GroupState;
  readonly scheduling: SchedulingState;
  /** Why it waits, or why it is UNSCHEDULABLE, for people; else null. */
  readonly reason: string | null;
  /** By bundle; null: not placed (any more). A removed group keeps its last seats. */
  readonly seats: readonly (BundleSeat | null)[];
  /** Attempts so far. */
  readonly attempts: number;
  /** Unix ms. */
  readonly createdAt: number;
  /** Place in the queue of those that wait; null when it does not wait. */
  readonly position: number | null;
}

/** `suspect`: silent, nothing new is placed there. `unknown`: from the journal, not heard of since this head started. */
export type NodeState = 'alive' | 'suspect' | 'unknown' | 'draining' | 'dead';

/** A node as it is now. */
export interface ClusterNode {
  readonly spec: NodeSpec;
  readonly name: string;
  readonly address: string;
  /** Random at each start of its agent: another one means that nothing of before is left there. */
  readonly incarnation: string;
  readonly state: NodeState;
  /** ms of the ledger's clock since it was last heard. */
  readonly silentMs: number;
  readonly version: string;
  readonly pid: number | null;
}

/** What an agent says when it joins or joins again. */
export interface NodeHello {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly incarnation: string;
  readonly version: string;
  readonly pid: number | null;
  readonly total: Quantities;
  readonly labels: Readonly<Record<string, string>>;
  readonly devices: Readonly<Record<string, WireDevices>>;
  /** Everything that it holds now. */
  readonly held: readonly HeldReservation[];
}

/** {@link NodeDevices} of scheduler/types.ts as it travels. */
export interface WireDevices {
  readonly ids: readonly string[];
  readonly numa: readonly (number | null)[];
  readonly links: readonly { readonly a: number; readonly b: number; readonly kind: string; readonly lanes: number }[];
}

/** A reservation as an agent reports it. */
export interface HeldReservation {
  readonly txn: string;
  readonly group: string;
  readonly committed: boolean;
}

/** A grant as it travels and is journaled: quantities, and [instance, quantity] by unit resource. */
export interface WireGrant {
  readonly resources: Quantities;
  readonly instances: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

/** Head → agent. Every one may be lost, repeated or late: txn makes them idempotent, `epoch` of the head fences them. */
export type ToAgent =
  | {
      readonly t: 'prepare';
      readonly txn: string;
      readonly group: string;
      readonly hold: Hold;
      /** Bundle index → what it takes. All or nothing. */
      readonly pieces: readonly { readonly bundle: number; readonly grant: WireGrant }[];
      /** A reservation that is not committed after so long is gone. */
      readonly ttlMs: number;
    }
  | { readonly t: 'commit'; readonly txn: string }
  | { readonly t: 'release'; readonly txn: string }
  /**
   * Heartbeat, answered by `alive`. Every committed reservation lives for its timer, counted from when the agent sent the report that the
   * head has heard last: so a renewal that is read late prolongs nothing beyond what the head can know.
   */
  | {
      readonly t: 'renew';
      readonly fencingMs: number;
      readonly graceMs: number;
      /** `atMs` of the last `alive` that the head has; null: it has none, and this prolongs nothing. */
      readonly heardMs: number | null;
    };

/** What travels in one message to one agent. */
export interface ToAgentBatch {
  /** Of the head: grows at every start. An agent refuses a lower one than it has seen. */
  readonly epoch: number;
  readonly messages: readonly ToAgent[];
}

/** Agent → head. */
export type FromAgent =
  | { readonly t: 'prepared'; readonly txn: string }
  | { readonly t: 'refused'; readonly txn: string; readonly reason: string }
  | { readonly t: 'committed'; readonly txn: string }
  /** The commit came too late: the reservation was gone. */
  | { readonly t: 'lost'; readonly txn: string; readonly reason: string }
  | { readonly t: 'released'; readonly txn: string }
  /** Heartbeat, with all that is held: the ledger compares. `atMs` is the agent's own clock, given back in the next `renew`. */
  | { readonly t: 'alive'; readonly atMs: number; readonly held: readonly HeldReservation[] };

export interface FromAgentBatch {
  readonly incarnation: string;
  readonly messages: readonly FromAgent[];
}

/** The timers, in ms. */
export interface ClusterTimers {
  /** Between renewals. */
  readonly heartbeatMs: number;
  /** Silence after which a node takes nothing new. */
  readonly suspectMs: number;
  /** Silence after which a node is dead. Longer than `fencingMs`, so that what held state there has stopped. */
  readonly deadMs: number;
  /** Stateful reservations end so long after the agent's last report of which it knows that the head has heard it. */
  readonly fencingMs: number;
  /** Serving reservations go on so long without a head (`head_grace`). */
  readonly graceMs: number;
  /** Life of a prepared, uncommitted reservation. */
  readonly prepareTtlMs: number;
  /** An unanswered message is sent again after so long. */
  readonly resendMs: number;
  /** After a restart of the head: nodes and owners of the journal have so long to join again. */
  readonly rejoinMs: number;
}

/** Ray finds a killed node in 14 s; this takes two, and at once where the process or its socket is seen to end. */
export const DEFAULT_TIMERS: ClusterTimers = {
  heartbeatMs: 500,
  suspectMs: 1000,
  deadMs: 2000,
  fencingMs: 1500,
  graceMs: 60_000,
  prepareTtlMs: 5000,
  resendMs: 250,
  rejoinMs: 5000,
};

/** One line of the journal. Folding all of them gives back what the ledger knew. */
export type LedgerRecord =
  | { readonly r: 'epoch'; readonly epoch: number }
  | { readonly r: 'node'; readonly hello: Omit<NodeHello, 'held'> }
  | { readonly r: 'node-gone'; readonly id: string }
  | {
      readonly r: 'group';
      readonly id: string;
      readonly spec: GroupSpec;
      readonly owner: string | null;
      readonly createdAt: number;
    }
  | {
      readonly r: 'seats';
      readonly id: string;
      readonly seats: readonly {
        readonly bundle: number;
        readonly node: string;
        readonly txn: string;
        readonly grant: WireGrant;
      }[];
    }
  /** Bundles that lost their seats. */
  | { readonly r: 'lost'; readonly id: string; readonly bundles: readonly number[] }
  | { readonly r: 'owner-gone'; readonly owner: string }
  /** `reason`: it was UNSCHEDULABLE. */
  | { readonly r: 'removed'; readonly id: string; readonly reason?: string };

/** What happened, for listeners, metrics and logs. */
export type LedgerEvent =
  | { readonly e: 'node'; readonly id: string; readonly state: NodeState; readonly why: string }
  | {
      readonly e: 'group';
      readonly id: string;
      readonly state: GroupState;
      readonly scheduling: SchedulingState;
      readonly reason: string | null;
    };

/** What the ledger needs from outside. Every function returns at once. */
export interface LedgerEnvironment {
  /** Monotonic ms. */
  nowMs(): number;
  /** Unix ms, for people. */
  wallMs(): number;
  newId(): string;
  /** 0 ≤ x < 1: for choices that Ray leaves to chance. */
  random(): number;
  /** Hand a batch to the transport of that node; it may be lost. */
  send(node: string, batch: ToAgentBatch): void;
  /** Durable before the call that caused it returns to a client: the caller of the ledger waits for the journal before it answers. */
  append(record: LedgerRecord): void;
  event(event: LedgerEvent): void;
}
