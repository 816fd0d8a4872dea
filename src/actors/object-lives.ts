/**
 * How known objects begin, get their outcome, move and end; with the sums over them. Knows nothing of who may ask for it.
 * Whoever takes a reason to live away calls `settle` afterwards.
 */
import { TwinkleError } from '../errors.js';
import type { ClientShare } from './client-share.js';
import {
  type Ending,
  inlineBytesOf,
  isKept,
  type Large,
  newRecord,
  type ObjectRecord,
  outcomeOf,
  type Reservation,
} from './object-record.js';
import type { BlockId, Lost, MoveResult, ObjectSink, ObjectTotals, Outside, StoredValue } from './object-types.js';

export class ObjectLives<V extends StoredValue> {
  readonly #sink: ObjectSink<V>;
  readonly #records = new Map<string, ObjectRecord<V>>();
  /** Readable, with a block, open nowhere; the one that was not used for longest comes first. */
  readonly #idle = new Set<ObjectRecord<V>>();
  #inlineBytes = 0;
  #slabBytes = 0;
  readonly #outsideBytes = { spilled: 0, away: 0 };

  constructor(sink: ObjectSink<V>) {
    this.#sink = sink;
  }

  find(id: string): ObjectRecord<V> | undefined {
    return this.#records.get(id);
  }

  records(): Iterable<ObjectRecord<V>> {
    return this.#records.values();
  }

  idle(): Iterable<ObjectRecord<V>> {
    return this.#idle;
  }

  totals(): ObjectTotals {
    return {
      objects: this.#records.size,
      inlineBytes: this.#inlineBytes,
      slabBytes: this.#slabBytes,
      spilledBytes: this.#outsideBytes.spilled,
      awayBytes: this.#outsideBytes.away,
    };
  }

  /** A new record; the caller gives it a reason to live, or settles it. */
  make(id: string, owner: number): ObjectRecord<V> {
    const record = newRecord<V>(id, owner);
    this.#records.set(id, record);
    return record;
  }

  /**
   * The objects that a value of `id` contains, each once.
   * @throws TwinkleError `PROTOCOL` when one is unknown (`details.unknown`), or when the object would contain itself: it would never end
   */
  contained(id: string, refs: readonly string[]): readonly ObjectRecord<V>[] {
    if (refs.length === 0) return [];
    const contains = new Set<ObjectRecord<V>>();
    const unknown: string[] = [];
    for (const ref of refs) {
      const record = this.#records.get(ref);
      if (record === undefined) unknown.push(ref);
      else contains.add(record);
    }
    if (unknown.length > 0) {
      const which = unknown.slice(0, 3).join(', ');
      const message = `expected known objects in the value of \`${id}\` but received ${which}; hold refs until it is stored`;
      throw new TwinkleError('PROTOCOL', message, { details: { unknown } });
    }
    const record = this.#records.get(id);
    if (record !== undefined && reaches(contains, record)) {
      const message = `expected a value without its own ref for \`${id}\` but received one that leads back to it`;
      throw new TwinkleError('PROTOCOL', message);
    }
    return [...contains];
  }

  /** The producer's block counts from now on. */
  beginWrite(record: ObjectRecord<V>, share: ClientShare<V>, reservation: Reservation): void {
    record.writers ??= new Map();
    record.writers.set(share, reservation);
    share.writes.add(record);
    this.#slabBytes += reservation.bytes;
  }

  /** The producer is done. With `keep` its block is the caller's, for `fulfil`; else it is freed. */
  endWrite(record: ObjectRecord<V>, share: ClientShare<V>, keep: boolean): Reservation | null {
    const reservation = record.writers?.get(share);
    if (reservation === undefined) return null;
    record.writers?.delete(share);
    share.writes.delete(record);
    this.#slabBytes -= reservation.bytes;
    if (keep) return reservation;
    this.#sink.free(reservation.block);
    return null;
  }

  /** Gives a pending object its ending, with its large bytes, if it has some, and tells who waits. */
  fulfil(
    record: ObjectRecord<V>,
    ending: Ending<V>,
    contains: readonly ObjectRecord<V>[],
    large: Large | null = null,
  ): void {
    record.ending = ending;
    this.#inlineBytes += inlineBytesOf(ending);
    record.promisedBy?.promises.delete(record);
    record.promisedBy = null;
    record.contains = contains;
    for (const inner of contains) inner.containedIn++;
    if (large !== null) {
      record.blockBytes = large.bytes;
      if (large.block === null) this.#leave(record, 'away');
      else this.#enter(record, large.block);
    }
    const waits = record.waits;
    if (waits === null || waits.size === 0) return;
    record.waits = null;
    for (const wait of waits) wait.share.waits.delete(wait.token);
    const waiters = Array.from(waits, ({ client, token }) => ({ client, token }));
    this.#sink.fulfilled(record.id, outcomeOf(record, ending), waiters);
  }

  /** Its bytes are lost, and nobody has it open: it has no ending again, for `fulfil`. Returns what it contained, to be settled after that. */
  unfulfil(record: ObjectRecord<V>): readonly ObjectRecord<V>[] {
    this.#inlineBytes -= inlineBytesOf(record.ending);
    this.#dropBytes(record);
    record.ending = null;
    record.blockBytes = 0;
    const { contains } = record;
    record.contains = [];
    for (const inner of contains) inner.containedIn--;
    return contains;
  }

  /** Nobody will fulfil it any more: an error for those who keep it. */
  lose(record: ObjectRecord<V>, owner: number, reason: Lost['reason']): void {
    if (isKept(record)) this.fulfil(record, { kind: 'lost', owner, reason }, []);
  }

  opened(record: ObjectRecord<V>): void {
    record.opens++;
    this.#idle.delete(record);
  }

  closed(record: ObjectRecord<V>, times: number): void {
    record.opens -= times;
    if (record.opens === 0 && record.block !== null) this.#idle.add(record);
  }

  /** See `ObjectTable.moved`. */
  moved(id: string, to: BlockId | Outside): MoveResult {
    const record = this.#records.get(id);
    if (record === undefined || record.ending?.kind !== 'sealed') return 'gone';
    const leaves = typeof to !== 'number';
    if (record.block === null && (record.outside === null || leaves)) return 'refused';
    if (record.block !== null && (to === record.block || record.opens > 0)) return 'refused';
    if (record.block !== null && !leaves) {
      // Its turn to be spilled stays: nobody used it.
      this.#sink.free(record.block);
      record.block = to;
      return 'moved';
    }
    this.#dropBytes(record);
    if (leaves) this.#leave(record, to);
    else this.#enter(record, to);
    return 'moved';
  }

  /** Ends those of the objects that nobody keeps, and what only they contained. A loop: chains are longer than stacks. */
  settle(touched: Iterable<ObjectRecord<V>>): void {
    const doubtful = [...touched];
    for (let record = doubtful.pop(); record !== undefined; record = doubtful.pop()) {
      if (isKept(record) || this.#records.get(record.id) !== record) continue;
      this.#records.delete(record.id);
      record.promisedBy?.promises.delete(record);
      if (record.watched) this.#sink.ended(record.id);
      this.#inlineBytes -= inlineBytesOf(record.ending);
      this.#dropBytes(record);
      for (const inner of record.contains) {
        inner.containedIn--;
        if (inner.containedIn === 0) doubtful.push(inner);
      }
    }
  }

  /** Its bytes are in that block now. */
  #enter(record: ObjectRecord<V>, block: BlockId): void {
    record.block = block;
    this.#slabBytes += record.blockBytes;
    if (record.opens === 0) this.#idle.add(record);
  }

  /** Its bytes are not in memory now. */
  #leave(record: ObjectRecord<V>, to: Outside): void {
    record.outside = to;
    this.#outsideBytes[to] += record.blockBytes;
  }

  /** Gives away the block or the copy outside of memory, whichever it has. */
  #dropBytes(record: ObjectRecord<V>): void {
    if (record.outside !== null) {
      this.#outsideBytes[record.outside] -= record.blockBytes;
      this.#sink.unspill(record.id);
    } else if (record.block !== null) {
      this.#slabBytes -= record.blockBytes;
      this.#idle.delete(record);
      this.#sink.free(record.block);
    }
    record.block = null;
    record.outside = null;
  }
}

/** Whether `target` is among the objects or inside one of them, at any depth. */
function reaches<V>(from: ReadonlySet<ObjectRecord<V>>, target: ObjectRecord<V>): boolean {
  if (from.has(target)) return true;
  // What nobody contains can be found at the top only.
  if (target.containedIn === 0) return false;
  const seen = new Set(from);
  for (const record of seen) {
    for (const inner of record.contains) {
      if (inner === target) return true;
      seen.add(inner);
    }
  }
  return false;
}
