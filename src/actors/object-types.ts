/** What goes in and out of the object table: values, outcomes, effects, facts. Types only. */

/** Names a block of shared memory on this box. The table never looks inside. */
export type BlockId = number;

/** Where large bytes are that are not in memory: on this box's disk, or with another box. */
export type Outside = 'spilled' | 'away';

/** What the table reads of a value; the rest of it is the caller's. An error is stored the same way, without a block. */
export interface StoredValue {
  /** Bytes that are kept with the value itself, outside any block. */
  readonly bytes: number;
  /** The block that was reserved for it, as long as the producer wrote one. Later moves are told in {@link Sealed}, not here. */
  readonly block: BlockId | null;
  /** Ids of the objects whose refs are inside. Repeats are allowed. */
  readonly refs: readonly string[];
}

/** A value that can be read. */
export interface Sealed<V> {
  readonly kind: 'sealed';
  readonly value: V;
  /** Where the large bytes are now; null: it has none, or they are not in memory. */
  readonly block: BlockId | null;
  /** Of the large bytes, wherever they are; 0 without. */
  readonly blockBytes: number;
  /** They have to be brought into memory first: from disk, or from another box. */
  readonly spilled: boolean;
}

/** Nobody is left to fulfil it: `owner` died, or gave up what it was writing. */
export interface Lost {
  readonly kind: 'lost';
  readonly owner: number;
  readonly reason: 'OWNER_DIED' | 'ABANDONED';
}

/** How a promise can end. It ends once, and stays as it ended. */
export type Outcome<V> = Sealed<V> | { readonly kind: 'failed'; readonly error: V } | Lost;

/** An outcome, or why there is none: not fulfilled yet, or not (any more) known. */
export type Look<V> = Outcome<V> | { readonly kind: 'pending' } | { readonly kind: 'gone' };

/** `late`: it had its outcome already, so what came now was discarded. `gone`: nobody keeps it, so nothing was stored. */
export type StoreResult = 'stored' | 'late' | 'gone';

/** `gone`: these ids are unknown, so none of the ids was held. */
export type HoldResult = { readonly held: true } | { readonly held: false; readonly gone: readonly string[] };

/** `gone`: no such readable object. `refused`: it is open, has no large bytes, or is there already. */
export type MoveResult = 'moved' | 'gone' | 'refused';

/** Who waits: the token is the client's own. */
export interface Waiter {
  readonly client: number;
  readonly token: number;
}

/**
 * Takes the effects. Called in the middle of operations: it must neither throw nor call back into the table.
 * Every block that the table took comes out once through `free`, every copy outside of memory once through `unspill`.
 */
export interface ObjectSink<V> {
  /** Nobody uses the block now. */
  free(block: BlockId): void;
  /** The copy of the object's bytes on disk, or on another box, is not needed any more. */
  unspill(id: string): void;
  /** Whether the copy outside of memory can never be read any more: then who seals the object once more gives it its value. Absent: never. */
  isLost?(id: string): boolean;
  /** Nobody keeps an object any more that was `watched`. */
  ended(id: string): void;
  /**
   * The waiters' answer, each told once. Having waited keeps nothing alive after this call: who wants more than the
   * outcome itself holds the object beside waiting.
   */
  fulfilled(id: string, outcome: Outcome<V>, waiters: readonly Waiter[]): void;
}

/** One row of `list objects`. */
export interface ObjectFacts {
  readonly id: string;
  readonly state: 'reserved' | 'promised' | 'sealed' | 'failed';
  /** All its bytes, wherever they are, with blocks that are still being written. */
  readonly bytes: number;
  /** Of the large bytes, where there are any. */
  readonly where: 'inline' | 'slab' | Outside;
  /** Clients that hold it or write it, ascending. */
  readonly holders: readonly number[];
  /** Open views, of all clients together. */
  readonly opens: number;
  readonly waiters: number;
  /** How many living objects contain its ref. */
  readonly containedIn: number;
  /** Who promised it; else who made it known first. */
  readonly owner: number;
}

/** Where the large bytes of an object are; both null: it has none, or no value. */
export interface Place {
  readonly block: BlockId | null;
  readonly outside: Outside | null;
  /** Open views, of all clients together. */
  readonly opens: number;
}

/** An object whose bytes could leave memory now. */
export interface Spillable {
  readonly id: string;
  readonly block: BlockId;
  readonly bytes: number;
}

/** A block that has to stay in memory. */
export interface InUse {
  readonly block: BlockId;
  readonly bytes: number;
  readonly by: 'readers' | 'writer';
  /** Open views. */
  readonly opens: number;
}

/** Sums over all known objects, in bytes but for `objects`. */
export interface ObjectTotals {
  readonly objects: number;
  readonly inlineBytes: number;
  /** Blocks of readable objects, and blocks that are being written. */
  readonly slabBytes: number;
  /** On this box's disk and not in its memory. */
  readonly spilledBytes: number;
  /** On other boxes only. */
  readonly awayBytes: number;
}
