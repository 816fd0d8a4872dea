/**
 * The objects that this node knows, who keeps each alive, and where its bytes are. Pure: effects go to a sink.
 * Must not know sockets, slabs or files.
 */
import { TwinkleError } from '../errors.js';
import { type ClientShare, endShare, hold, newShare } from './client-share.js';
import { ObjectLives } from './object-lives.js';
import { blocksInUse, factsOf, isOrphan, type Large, lookAt, type ObjectRecord } from './object-record.js';
import type {
  BlockId,
  HoldResult,
  InUse,
  Look,
  MoveResult,
  ObjectFacts,
  ObjectSink,
  ObjectTotals,
  Outside,
  Place,
  Spillable,
  StoredValue,
  StoreResult,
} from './object-types.js';

/**
 * An object lives while a client holds it, writes it, waits for it or has it open, or while a living object contains it.
 *
 * What throws changes nothing and takes nothing: a block that came with the call is still the caller's. Operations that
 * give something to a client throw `PROTOCOL` when the client is not there (any more); those that only take something
 * away ignore it.
 */
export class ObjectTable<V extends StoredValue> {
  readonly #sink: ObjectSink<V>;
  readonly #lives: ObjectLives<V>;
  readonly #shares = new Map<number, ClientShare<V>>();

  constructor(sink: ObjectSink<V>) {
    this.#sink = sink;
    this.#lives = new ObjectLives(sink);
  }

  /** @throws TwinkleError `PROTOCOL` when the client is there already */
  clientJoined(client: number): void {
    if (this.#shares.has(client))
      throw new TwinkleError('PROTOCOL', `client ${client} joined twice; give each its own id`);
    this.#shares.set(client, newShare(client));
  }

  /** All that it held, had open, waited for or wrote goes. What it promised is lost for the others. Idempotent. */
  clientGone(client: number): void {
    const share = this.#shares.get(client);
    if (share === undefined) return;
    this.#shares.delete(client);
    endShare(share, this.#lives);
  }

  /**
   * The client writes the object's bytes into a block. The object is kept for it until `seal` or `abandon`. Several
   * clients may write the same object: the first that seals wins.
   * @param bytes size of the block
   * @throws TwinkleError `PROTOCOL` when the client writes this object already
   */
  reserve(client: number, id: string, block: BlockId, bytes: number): void {
    const share = this.#share(client);
    const known = this.#lives.find(id);
    if (known?.writers?.has(share)) {
      throw new TwinkleError('PROTOCOL', `client ${client} writes object \`${id}\` already; seal or abandon it first`);
    }
    this.#lives.beginWrite(known ?? this.#lives.make(id, client), share, { block, bytes });
  }

  /** The client wrote for nothing: its block is freed. A hold on the object stays. Ignored when it does not write. */
  abandon(client: number, id: string): void {
    const share = this.#shares.get(client);
    const record = this.#lives.find(id);
    if (share === undefined || !record?.writers?.has(share)) return;
    this.#lives.endWrite(record, share, false);
    if (isOrphan(record)) this.#lives.lose(record, client, 'ABANDONED');
    this.#lives.settle([record]);
  }

  /**
   * The object can be read from now on; a promise of it is fulfilled. The client's block becomes the object's when the
   * value names it, else it is freed.
   * @param holders clients that hold it from now on; those that are gone are left out. With nobody to keep it, it ends at once
   * @throws TwinkleError `PROTOCOL` when the value names a block that the client did not reserve, or contains unknown objects or itself
   */
  seal(client: number, id: string, value: V, holders: readonly number[]): StoreResult {
    const share = this.#share(client);
    const known = this.#lives.find(id);
    if (value.block !== null && value.block !== known?.writers?.get(share)?.block) {
      const message = `expected the reserved block for \`${id}\` but client ${client} sent ${value.block}; reserve before sealing`;
      throw new TwinkleError('PROTOCOL', message);
    }
    return this.#sealed(share, id, value, null, holders) === 'late' ? 'late' : 'stored';
  }

  /**
   * The same for a value whose large bytes are on another box: of this one's memory it takes nothing, until it is read. A block that the
   * client reserved for it is freed.
   * @param bytes of its large bytes
   * @returns `gone`: nobody keeps it, so it has ended, and its copy was given back
   * @throws TwinkleError `PROTOCOL` when the value names a block, or contains unknown objects or itself
   */
  sealAway(client: number, id: string, value: V, bytes: number, holders: readonly number[]): StoreResult {
    const share = this.#share(client);
    if (value.block !== null) {
      const message = `expected no block for \`${id}\` but received ${value.block}: its bytes are on another box`;
      throw new TwinkleError('PROTOCOL', message);
    }
    return this.#sealed(share, id, value, { block: null, bytes }, holders);
  }

  /**
   * Stores a small value, held by the client; a promise of it is fulfilled.
   * @throws TwinkleError `PROTOCOL` when the value has a block, or contains unknown objects or itself
   */
  publish(client: number, id: string, value: V): StoreResult {
    const share = this.#share(client);
    const known = this.#lives.find(id);
    const late = isLate(known);
    const contains = late ? [] : this.#inlineContents(id, value);
    const record = known ?? this.#lives.make(id, client);
    hold(share, record);
    if (late) return 'late';
    this.#lives.fulfil(record, { kind: 'sealed', value }, contains);
    return 'stored';
  }

  /**
   * Says that the client will see to it that `seal`, `publish` or `fail` comes, and holds the object for it. An object
   * that has its outcome already is held, nothing else.
   * @throws TwinkleError `PROTOCOL` when another client promised it
   */
  promise(client: number, id: string): void {
    const share = this.#share(client);
    const known = this.#lives.find(id);
    if (known?.promisedBy && known.promisedBy !== share) {
      const message = `client ${client} promises object \`${id}\` of client ${known.promisedBy.client}; only its owner may`;
      throw new TwinkleError('PROTOCOL', message);
    }
    const record = known ?? this.#lives.make(id, client);
    hold(share, record);
    if (record.ending !== null) return;
    record.owner = client;
    record.promisedBy = share;
    share.promises.add(record);
  }

  /**
   * Fulfils the object with an error, which is counted as a value is. Holds nothing.
   * @throws TwinkleError `PROTOCOL` as `publish` does
   */
  fail(client: number, id: string, error: V): StoreResult {
    this.#share(client);
    const record = this.#lives.find(id);
    if (record === undefined) return 'gone';
    if (isLate(record)) return 'late';
    this.#lives.fulfil(record, { kind: 'failed', error }, this.#inlineContents(id, error));
    this.#lives.settle([record]);
    return 'stored';
  }

  /** The client holds all of them, or, when one is unknown, none more than before. */
  hold(client: number, ids: readonly string[]): HoldResult {
    const share = this.#share(client);
    const records: ObjectRecord<V>[] = [];
    const gone: string[] = [];
    for (const id of ids) {
      const record = this.#lives.find(id);
      if (record === undefined) gone.push(id);
      else records.push(record);
    }
    if (gone.length > 0) return { held: false, gone };
    for (const record of records) hold(share, record);
    return { held: true };
  }

  /** The client holds none of them any more. What it did not hold is ignored; what it writes, waits for or has open stays so. */
  drop(client: number, ids: readonly string[]): void {
    const share = this.#shares.get(client);
    if (share === undefined) return;
    const touched: ObjectRecord<V>[] = [];
    for (const id of ids) {
      const record = this.#lives.find(id);
      if (record === undefined || !record.holders.delete(share)) continue;
      share.holds.delete(record);
      touched.push(record);
    }
    this.#lives.settle(touched);
  }

  /**
   * Reads the object. When it is sealed, this counts as one more view, which keeps it alive by itself and where it is; other answers
   * count nothing. One that is not in memory is counted, too, so that its bytes can be brought there (`moved`) for the view.
   */
  open(client: number, id: string): Look<V> {
    const share = this.#share(client);
    const record = this.#lives.find(id);
    const look = lookAt(record);
    if (record !== undefined && look.kind === 'sealed') {
      this.#lives.opened(record);
      share.opens.set(record, (share.opens.get(record) ?? 0) + 1);
    }
    return look;
  }

  /** One view of the client less. Ignored when it has none. */
  close(client: number, id: string): void {
    const share = this.#shares.get(client);
    const record = this.#lives.find(id);
    const times = record === undefined ? undefined : share?.opens.get(record);
    if (share === undefined || record === undefined || times === undefined) return;
    if (times > 1) share.opens.set(record, times - 1);
    else share.opens.delete(record);
    this.#lives.closed(record, 1);
    this.#lives.settle([record]);
  }

  /**
   * The outcome now, or `pending`: then it is told to the sink once, and until then the wait keeps the object alive.
   * @param token unique among the client's unanswered waits
   * @throws TwinkleError `PROTOCOL` when the token is in use
   */
  wait(client: number, id: string, token: number): Look<V> {
    const share = this.#share(client);
    if (share.waits.has(token)) {
      throw new TwinkleError('PROTOCOL', `client ${client} waits with token ${token} already; give each wait its own`);
    }
    const record = this.#lives.find(id);
    const look = lookAt(record);
    if (record !== undefined && look.kind === 'pending') {
      const wait = { client, token, share, record };
      share.waits.set(token, wait);
      record.waits ??= new Set();
      record.waits.add(wait);
    }
    return look;
  }

  /** Withdraws a wait. Ignored when it was answered. */
  forget(client: number, token: number): void {
    const share = this.#shares.get(client);
    const wait = share?.waits.get(token);
    if (wait === undefined) return;
    share?.waits.delete(token);
    wait.record.waits?.delete(wait);
    this.#lives.settle([wait.record]);
  }

  /**
   * Objects whose bytes could be spilled now, the one first that was sealed, brought back or last closed the longest ago.
   * `moved` may be called while this is read.
   */
  *spillable(): Generator<Spillable> {
    for (const { id, block, blockBytes } of this.#lives.idle())
      if (block !== null) yield { id, block, bytes: blockBytes };
  }

  /**
   * Somebody copied the object's bytes to another block, or outside of memory. When that counts, the place that they left goes to the
   * sink; else (`gone`, `refused`) the copy is the caller's to remove. An open object moves only back into memory.
   */
  moved(id: string, to: BlockId | Outside): MoveResult {
    return this.#lives.moved(id, to);
  }

  /** Its block, when it is readable and in memory; where it is outside of it, if it is; how often it is open. Null: it is not known. */
  place(id: string): Place | null {
    return this.#lives.find(id) ?? null;
  }

  /** Its end is told to the sink. Ignored when it is not known. */
  watch(id: string): void {
    const record = this.#lives.find(id);
    if (record !== undefined) record.watched = true;
  }

  /** What cannot leave memory now: blocks that are read, and such that are being written. */
  *inUse(): Generator<InUse> {
    for (const record of this.#lives.records()) yield* blocksInUse(record);
  }

  /** Clients that have something open. */
  openers(): number[] {
    return [...this.#shares.values()].filter(({ opens }) => opens.size > 0).map(({ client }) => client);
  }

  /** All known objects, in the order in which they became known. */
  *list(): Generator<ObjectFacts> {
    for (const record of this.#lives.records()) yield factsOf(record);
  }

  /** Kept up with every operation: cheap to ask. */
  totals(): ObjectTotals {
    return this.#lives.totals();
  }

  #share(client: number): ClientShare<V> {
    const share = this.#shares.get(client);
    if (share === undefined) throw new TwinkleError('PROTOCOL', `client ${client} is not there (any more)`);
    return share;
  }

  /** @param away large bytes on another box; null: they are in the value's block, or there are none */
  #sealed(share: ClientShare<V>, id: string, value: V, away: Large | null, holders: readonly number[]): StoreResult {
    const known = this.#lives.find(id);
    const again = known !== undefined && this.#isLost(known);
    const late = isLate(known) && !again;
    const contains = late ? [] : this.#lives.contained(id, value.refs);
    const record = known ?? this.#lives.make(id, share.client);
    for (const holder of holders) {
      const theirs = this.#shares.get(holder);
      if (theirs !== undefined) hold(theirs, record);
    }
    const written = this.#lives.endWrite(record, share, !late && value.block !== null);
    const former = again ? this.#lives.unfulfil(record) : [];
    if (!late) this.#lives.fulfil(record, { kind: 'sealed', value }, contains, away ?? written);
    this.#lives.settle([record, ...former]);
    if (late) return 'late';
    return this.#lives.find(id) === record ? 'stored' : 'gone';
  }

  /** Its bytes went with the box that had them: a task that is run again makes them anew. Who has it open is about to be told. */
  #isLost({ id, outside, opens }: ObjectRecord<V>): boolean {
    return outside === 'away' && opens === 0 && this.#sink.isLost?.(id) === true;
  }

  #inlineContents(id: string, value: V): readonly ObjectRecord<V>[] {
    if (value.block === null) return this.#lives.contained(id, value.refs);
    throw new TwinkleError('PROTOCOL', `expected no block for \`${id}\` but received ${value.block}; seal it`);
  }
}

function isLate(record: ObjectRecord<unknown> | undefined): boolean {
  return record !== undefined && record.ending !== null;
}
