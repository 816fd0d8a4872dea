/** One known object, and what can be read off it. Changes nothing. */
import type { ClientShare, Wait } from './client-share.js';
import type { BlockId, InUse, Look, Lost, ObjectFacts, Outcome, Outside, StoredValue } from './object-types.js';

/** An outcome without the place of the bytes, which may change later. */
export type Ending<V> =
  | { readonly kind: 'sealed'; readonly value: V }
  | { readonly kind: 'failed'; readonly error: V }
  | Lost;

/** Large bytes. */
export interface Large {
  /** Null: another box has them. */
  readonly block: BlockId | null;
  readonly bytes: number;
}

/** A block that a producer writes. */
export interface Reservation {
  readonly block: BlockId;
  readonly bytes: number;
}

/** A known object. Maps that most objects never need are null until they do. */
export interface ObjectRecord<V> {
  readonly id: string;
  owner: number;
  /** Who will fulfil it; null once it has its ending, or when nobody promised. */
  promisedBy: ClientShare<V> | null;
  ending: Ending<V> | null;
  block: BlockId | null;
  /** Of the large bytes, wherever they are. */
  blockBytes: number;
  /** Where they are while they are not in memory; null: they are, or it has none. */
  outside: Outside | null;
  readonly holders: Set<ClientShare<V>>;
  /** More than one when a task runs again while the node does not know yet that its first worker died. */
  writers: Map<ClientShare<V>, Reservation> | null;
  waits: Set<Wait<V>> | null;
  opens: number;
  containedIn: number;
  contains: readonly ObjectRecord<V>[];
  /** Its end is told. */
  watched: boolean;
}

/** An object that nobody keeps yet. */
export function newRecord<V>(id: string, owner: number): ObjectRecord<V> {
  return {
    id,
    owner,
    promisedBy: null,
    ending: null,
    block: null,
    blockBytes: 0,
    outside: null,
    holders: new Set(),
    writers: null,
    waits: null,
    opens: 0,
    containedIn: 0,
    contains: [],
    watched: false,
  };
}

/** Whether anybody keeps the object alive. */
export function isKept(record: ObjectRecord<unknown>): boolean {
  if (record.holders.size > 0 || record.opens > 0 || record.containedIn > 0) return true;
  return (record.writers?.size ?? 0) > 0 || (record.waits?.size ?? 0) > 0;
}

/** Whether it has no ending, and nobody left who would give it one. */
export function isOrphan(record: ObjectRecord<unknown>): boolean {
  return record.ending === null && record.promisedBy === null && (record.writers?.size ?? 0) === 0;
}

/** What somebody who reads the object now gets. */
export function lookAt<V>(record: ObjectRecord<V> | undefined): Look<V> {
  if (record === undefined) return { kind: 'gone' };
  return record.ending === null ? { kind: 'pending' } : outcomeOf(record, record.ending);
}

/** The ending with the present place of the bytes. */
export function outcomeOf<V>(record: ObjectRecord<V>, ending: Ending<V>): Outcome<V> {
  if (ending.kind !== 'sealed') return ending;
  const { block, blockBytes, outside } = record;
  return { kind: 'sealed', value: ending.value, block, blockBytes, spilled: outside !== null };
}

/** Bytes that are kept outside blocks. */
export function inlineBytesOf(ending: Ending<StoredValue> | null): number {
  if (ending === null || ending.kind === 'lost') return 0;
  return ending.kind === 'sealed' ? ending.value.bytes : ending.error.bytes;
}

/** The row of the object in a list. */
export function factsOf(record: ObjectRecord<StoredValue>): ObjectFacts {
  const writers = record.writers ?? new Map<ClientShare<StoredValue>, Reservation>();
  let bytes = inlineBytesOf(record.ending) + record.blockBytes;
  for (const reservation of writers.values()) bytes += reservation.bytes;
  const clients = new Set([...record.holders, ...writers.keys()].map(({ client }) => client));
  return {
    id: record.id,
    state: stateOf(record),
    bytes,
    where: whereOf(record, writers.size > 0),
    holders: [...clients].sort((a, b) => a - b),
    opens: record.opens,
    waiters: record.waits?.size ?? 0,
    containedIn: record.containedIn,
    owner: record.owner,
  };
}

/** Its blocks that have to stay in memory now. */
export function* blocksInUse({ block, blockBytes, opens, writers }: ObjectRecord<unknown>): Generator<InUse> {
  if (block !== null && opens > 0) yield { block, bytes: blockBytes, by: 'readers', opens };
  for (const reservation of writers?.values() ?? []) yield { ...reservation, by: 'writer', opens: 0 };
}

function stateOf({ ending, promisedBy }: ObjectRecord<unknown>): ObjectFacts['state'] {
  if (ending !== null) return ending.kind === 'sealed' ? 'sealed' : 'failed';
  return promisedBy === null ? 'reserved' : 'promised';
}

function whereOf(record: ObjectRecord<unknown>, written: boolean): ObjectFacts['where'] {
  if (record.outside !== null) return record.outside;
  return record.block !== null || (record.ending === null && written) ? 'slab' : 'inline';
}
