/** One client's share in the known objects: all that goes when the client dies. */
import type { ObjectLives } from './object-lives.js';
import { isOrphan, type ObjectRecord } from './object-record.js';
import type { StoredValue, Waiter } from './object-types.js';

/** A wait that is not answered yet. */
export interface Wait<V> extends Waiter {
  readonly share: ClientShare<V>;
  readonly record: ObjectRecord<V>;
}

/** What one client has of which objects. */
export interface ClientShare<V> {
  readonly client: number;
  readonly holds: Set<ObjectRecord<V>>;
  /** How often it has each open. */
  readonly opens: Map<ObjectRecord<V>, number>;
  /** By token. */
  readonly waits: Map<number, Wait<V>>;
  readonly promises: Set<ObjectRecord<V>>;
  readonly writes: Set<ObjectRecord<V>>;
}

/** A client that has nothing yet. */
export function newShare<V>(client: number): ClientShare<V> {
  return { client, holds: new Set(), opens: new Map(), waits: new Map(), promises: new Set(), writes: new Set() };
}

/** The client holds the object from now on. Idempotent. */
export function hold<V>(share: ClientShare<V>, record: ObjectRecord<V>): void {
  record.holders.add(share);
  share.holds.add(record);
}

/** Takes everything from a client that died. What only it would have fulfilled is lost for those who keep it. */
export function endShare<V extends StoredValue>(share: ClientShare<V>, lives: ObjectLives<V>): void {
  const touched = new Set<ObjectRecord<V>>();
  for (const record of share.holds) {
    record.holders.delete(share);
    touched.add(record);
  }
  for (const [record, times] of share.opens) {
    lives.closed(record, times);
    touched.add(record);
  }
  for (const wait of share.waits.values()) {
    wait.record.waits?.delete(wait);
    touched.add(wait.record);
  }
  for (const record of share.writes) {
    lives.endWrite(record, share, false);
    touched.add(record);
  }
  // Among its promises are some that a worker still writes: they are lost, too, as there is nobody left whom it works for.
  const promised = [...share.promises];
  for (const record of touched) if (isOrphan(record)) lives.lose(record, share.client, 'OWNER_DIED');
  for (const record of promised) lives.lose(record, share.client, 'OWNER_DIED');
  lives.settle([...touched, ...promised]);
}
