/** The mutable records of a ledger, shared by its parts and by nobody else. */
import type { Grant, NodeSpec } from '../scheduler/types.js';
import type { GroupMachine } from './group-machine.js';
import type { NodeHello, WireGrant } from './types.js';

/** What a node says of itself, as the journal keeps it. */
export type NodeFacts = Omit<NodeHello, 'held'>;

/** One bundle's part of a claim. */
export interface ClaimPiece {
  readonly bundle: number;
  readonly grant: Grant;
}

/** A {@link ClaimPiece} as it travels. */
export interface WirePiece {
  readonly bundle: number;
  readonly grant: WireGrant;
}

/**
 * `preparing` → `prepared` → `committing` → `committed`, and from each of them `releasing`. In all of them the resources are taken in the
 * ledger's own state.
 */
export type ClaimPhase = 'preparing' | 'prepared' | 'committing' | 'committed' | 'releasing';

/** A reservation as the head knows it: everything that one attempt of a group takes on one node. */
export interface Claim {
  readonly txn: string;
  readonly node: NodeRecord;
  /** Null: an agent holds it and no group here knows it; it is being released. */
  readonly group: GroupMachine | null;
  readonly pieces: readonly ClaimPiece[];
  /** What the pieces take together. */
  readonly sum: Grant;
  phase: ClaimPhase;
  /** For sending `prepare` again; null once the seats are journaled. */
  wire: readonly WirePiece[] | null;
  /** When its unanswered message was last sent. */
  sentAtMs: number;
}

/** What a node answered with `refused` last: until when it takes nothing new. */
export interface Refusal {
  readonly untilMs: number;
  /** Its report has come since. */
  reported: boolean;
}

/** A node of the ledger. Dead ones stay as a memory, without claims. */
export interface NodeRecord {
  readonly facts: NodeFacts;
  readonly spec: NodeSpec;
  state: 'alive' | 'suspect' | 'unknown' | 'dead';
  draining: boolean;
  heardAtMs: number;
  /** When its last report was sent, by its own clock; null: none since it joined this head. */
  reportedAtMs: number | null;
  readonly claims: Map<string, Claim>;
  /** Held there, known to no group here. Until they are released the node takes nothing new. */
  strangers: number;
  refusal: Refusal | null;
}

/** All nodes must prepare before its deadline, or all of it is released. */
export interface Attempt {
  readonly claims: readonly Claim[];
  /** Claims that are not prepared yet. */
  open: number;
  readonly deadlineMs: number;
}
