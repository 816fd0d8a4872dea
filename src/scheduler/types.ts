/**
 * The vocabulary of placement. Pure data: a snapshot of nodes in, a plan out. Nothing here reads a clock, draws a random number or does
 * I/O, and nobody but the owner of a {@link ClusterState} changes it.
 */

/** A quantity in units of 1/10000: exact under addition. Bytes are whole, so 14 TB of memory are exact too. */
export type Units = number;

/** Resource name → amount > 0. `CPU`, `GPU`, `NPU`, `memory`, `object_store_memory`, `accelerator_type:X`, or the user's own word. */
export type Resources = ReadonlyMap<string, Units>;

/** Label → value. `ray.io/node-id` is implied by the node and never in here. */
export type Labels = ReadonlyMap<string, string>;

/** How two devices of a node are connected, best first. */
export type LinkKind = 'nvlink' | 'hccs' | 'pix' | 'pxb' | 'phb' | 'node' | 'sys' | 'unknown';

/** The devices behind a unit resource (`GPU`, `NPU`) of a node. */
export interface NodeDevices {
  /** Uuid by instance: instance 0 is the first. As many as the resource's total. */
  readonly ids: readonly string[];
  /** NUMA node by instance. */
  readonly numa: readonly (number | null)[];
  /** Pairs of instances; a pair that is missing is `unknown`. */
  readonly links: readonly {
    readonly a: number;
    readonly b: number;
    readonly kind: LinkKind;
    readonly lanes: number;
  }[];
}

/** What a node has, whatever is in use. */
export interface NodeSpec {
  readonly id: string;
  /** Whole numbers. */
  readonly total: Resources;
  readonly labels: Labels;
  /** By unit resource; a unit resource that is missing has anonymous devices without links. */
  readonly devices: ReadonlyMap<string, NodeDevices>;
}

/** What is free on a node. Immutable: taking and giving back make new ones. */
export interface Free {
  readonly amounts: Resources;
  /** Unit resource → free units of each instance (10000 is a whole one). */
  readonly instances: ReadonlyMap<string, readonly Units[]>;
}

/** What was taken: give it back by `giveBack`. */
export interface Grant {
  readonly resources: Resources;
  /** Unit resource → [instance, units] taken, instances ascending. */
  readonly instances: ReadonlyMap<string, readonly (readonly [instance: number, units: Units])[]>;
}

/** A node as the scheduler sees it. */
export interface NodeView {
  readonly spec: NodeSpec;
  /** Position in joining order: ties go to the lowest. */
  readonly order: number;
  readonly free: Free;
  /** False: dead, draining, or not heard of since the head restarted. Such a node is no candidate. */
  readonly schedulable: boolean;
}

/** One condition on one label, as in `in(a,b)`. `not` also matches a node that lacks the label. */
export interface LabelCondition {
  readonly key: string;
  readonly not: boolean;
  readonly values: readonly string[];
}

/** All must hold. */
export type LabelSelector = readonly LabelCondition[];

export type Strategy = 'PACK' | 'SPREAD' | 'STRICT_PACK' | 'STRICT_SPREAD';

/** A group to place, checked and compiled by `compileGroup`. */
export interface GroupRequest {
  readonly strategy: Strategy;
  readonly bundles: readonly Resources[];
  /** By bundle, or null when no bundle has a selector. */
  readonly selectors: readonly LabelSelector[] | null;
  /** STRICT_PACK only: this node if it can take all. */
  readonly softTarget: string | null;
  /** All bundles land on nodes that share one value of this label. `value` is set when bundles that stay have fixed it. */
  readonly domain: { readonly label: string; readonly value: string | null } | null;
  /** Nodes that hold other bundles of the same group (rescheduling): STRICT_SPREAD keeps away from them. */
  readonly occupied: ReadonlySet<string>;
  /**
   * Ours, not Ray's: this many consecutive bundles work as one tensor-parallel group and want linked devices. 1: nothing is preferred,
   * devices are the lowest free ones as in Ray.
   */
  readonly tensorParallel: number;
}

/** Where one bundle goes. */
export interface PlacedBundle {
  readonly index: number;
  readonly node: string;
  readonly grant: Grant;
}

/** Why a single node does not take what was asked. One line for people. */
export interface NodeReason {
  readonly node: string;
  /** `infeasible`: even when everything on it were free. */
  readonly kind: 'available' | 'busy' | 'infeasible' | 'not-schedulable';
  readonly reason: string;
}

/** The answer of `placeGroup`. `state` of a pending group in Ray's words: NO_RESOURCES or INFEASIBLE. */
export type GroupPlacement =
  | { readonly outcome: 'placed'; readonly bundles: readonly PlacedBundle[] }
  | { readonly outcome: 'pending' | 'infeasible'; readonly bundle: number | null; readonly reason: string };

/** How a task or actor wants its node. */
export type TaskStrategy =
  | { readonly kind: 'default' }
  | { readonly kind: 'spread' }
  | {
      readonly kind: 'node-affinity';
      readonly node: string;
      readonly soft: boolean;
      readonly spillOnUnavailable: boolean;
      readonly failOnUnavailable: boolean;
    };

/** A task or actor outside any group. */
export interface TaskRequest {
  /** What it needs to be placed. May be empty: any node that is alive. */
  readonly resources: Resources;
  readonly strategy: TaskStrategy;
  /** Hard conditions, in order of preference: the first that some node satisfies in total is used. None: `[[]]`. */
  readonly selectors: readonly LabelSelector[];
  /** Node that is tried first by the default policy: the caller's own. */
  readonly preferred: string | null;
}

/** Chance and memory that the policies need, given by the caller. */
export interface TaskChance {
  /** 0 ≤ random < 1. */
  readonly random: number;
  /** Where the SPREAD round robin stands. */
  readonly cursor: number;
}

/** The answer of `placeTask`. `queued`: the node is feasible but busy; the task waits there. `refused`: it can never run as asked and must fail. */
export type TaskPlacement =
  | { readonly outcome: 'placed'; readonly node: string; readonly grant: Grant; readonly cursor: number }
  | {
      readonly outcome: 'pending' | 'infeasible' | 'refused';
      readonly node: string | null;
      readonly reason: string;
      readonly cursor: number;
    };
