/** Random operations on an object table and on the naive model beside it; throws at the first difference. */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectTable } from '../../../src/actors/object-table.js';
import type { ObjectSink, StoredValue } from '../../../src/actors/object-types.js';
import { TwinkleError } from '../../../src/errors.js';
import { randomFrom } from '../../support/random.js';
import { difference, Effects } from './object-difference.js';
import { type ModelObject, ObjectModel } from './object-model.js';

export type MakeTable = (sink: ObjectSink<StoredValue>) => ObjectTable<StoredValue>;

const IDS = Array.from({ length: 24 }, (_, n) => `1.${n}`);
const CLIENTS = 5;

/** What it did, so that a test can say that it did everything. */
export type Counts = Map<string, number>;

export function simulate(seed: number, steps: number, makeTable: MakeTable): Counts {
  const run = new Simulation(seed, makeTable);
  for (let step = 0; step < steps; step++) {
    const name = run.step();
    const difference = run.difference();
    if (difference !== null) throw new Error(`seed ${seed}, step ${step}, after ${name}: ${difference}`);
  }
  return run.counts;
}

class Simulation {
  readonly counts: Counts = new Map();
  readonly #random: () => number;
  readonly #table: ObjectTable<StoredValue>;
  readonly #model = new ObjectModel();
  readonly #clients: number[] = [];
  readonly #effects = new Effects();
  #problem: string | null = null;
  #nextClient = 1;
  #nextBlock = 1;
  #nextToken = 1;

  constructor(seed: number, makeTable: MakeTable) {
    this.#random = randomFrom(seed);
    this.#table = makeTable(this.#effects);
    for (let n = 0; n < CLIENTS; n++) this.#join();
  }

  step(): string {
    const operations: readonly (readonly [number, string, (client: number, id: string) => void])[] = [
      [8, 'reserve', (client, id) => this.#reserve(client, id)],
      [10, 'seal', (client, id) => this.#seal(client, id)],
      [5, 'seal away', (client, id) => this.#sealAway(client, id)],
      [3, 'abandon', (client, id) => this.#abandon(client, id)],
      [8, 'publish', (client, id) => this.#publish(client, id)],
      [8, 'promise', (client, id) => this.#promise(client, id)],
      [3, 'fail', (client, id) => this.#fail(client, id)],
      [12, 'hold', (client) => this.#hold(client)],
      [22, 'drop', (client) => this.#drop(client)],
      [9, 'open', (client, id) => this.#open(client, id)],
      [9, 'close', (client, id) => this.#close(client, id)],
      [8, 'wait', (client, id) => this.#wait(client, id)],
      [3, 'forget', (client) => this.#forget(client)],
      [10, 'move', (_client, id) => this.#move(id)],
      [2, 'gone', (client) => this.#gone(client)],
      [3, 'watch', (_client, id) => this.#watch(id)],
    ];
    let left = this.#random() * operations.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, name, operation] of operations) {
      left -= weight;
      if (left >= 0) continue;
      this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
      operation(this.#pick(this.#clients), this.#pick(IDS));
      this.#model.sweep();
      return name;
    }
    throw new Error('unreachable');
  }

  difference(): string | null {
    return this.#problem ?? this.#effects.problem ?? difference(this.#table, this.#model, this.#effects);
  }

  #reserve(client: number, id: string): void {
    const block = this.#nextBlock++;
    const bytes = 1 + Math.floor(this.#random() * 1000);
    const refused = this.#model.objects.get(id)?.writers.has(client) ?? false;
    this.#expectThrow(refused, () => this.#table.reserve(client, id, block, bytes));
    if (refused) return;
    this.#effects.given.add(block);
    this.#object(id, client).writers.set(client, { block, bytes });
  }

  #seal(client: number, anyId: string): void {
    // Mostly something that the client has reserved: else nearly all large objects would stay unsealed.
    const mine = [...this.#model.objects.values()].filter(({ writers }) => writers.has(client)).map(({ id }) => id);
    const id = mine.length > 0 && this.#random() < 0.9 ? this.#pick(mine) : anyId;
    const object = this.#model.objects.get(id);
    const written = object?.writers.get(client);
    const chance = this.#random();
    const block = chance < 0.05 ? 9_999_999 : chance < 0.15 ? null : (written?.block ?? null);
    const value = { bytes: Math.floor(this.#random() * 100), block, refs: this.#refs() };
    const dead = 1 + Math.floor(this.#random() * this.#nextClient);
    const holders = [this.#pick(this.#clients), this.#pick(this.#clients), dead].filter(() => this.#random() < 0.4);
    const foreign = block !== null && block !== written?.block;
    const refused = foreign || this.#refusesRefs(id, value.refs);
    this.#expectThrow(refused, () => this.#table.seal(client, id, value, holders));
    if (refused) return;
    const sealed = this.#object(id, client);
    for (const holder of holders) if (this.#clients.includes(holder)) sealed.holders.add(holder);
    sealed.writers.delete(client);
    if (sealed.ending !== null) return;
    if (block !== null && written !== undefined)
      Object.assign(sealed, { block, blockBytes: written.bytes, usedAt: this.#model.tick() });
    this.#end(sealed, 'sealed', value);
  }

  #sealAway(client: number, id: string): void {
    const object = this.#model.objects.get(id);
    const block = this.#random() < 0.05 ? 9_999_999 : null;
    const value = { bytes: Math.floor(this.#random() * 100), block, refs: this.#refs() };
    const bytes = 1 + Math.floor(this.#random() * 1000);
    const holders = [this.#pick(this.#clients), this.#pick(this.#clients)].filter(() => this.#random() < 0.6);
    const late = object !== undefined && object.ending !== null;
    const refused = block !== null || this.#refusesRefs(id, value.refs);
    if (!refused && !late) this.#effects.copies.add(id);
    let result = '';
    this.#expectThrow(refused, () => {
      result = this.#table.sealAway(client, id, value, bytes, holders);
    });
    if (refused) return;
    const sealed = this.#object(id, client);
    for (const holder of holders) sealed.holders.add(holder);
    sealed.writers.delete(client);
    if (!late) {
      Object.assign(sealed, { outside: 'away', blockBytes: bytes });
      this.#end(sealed, 'sealed', value);
    }
    this.#model.sweep();
    this.#compare(result, late ? 'late' : this.#model.objects.has(id) ? 'stored' : 'gone');
  }

  #abandon(client: number, id: string): void {
    this.#table.abandon(client, id);
    const object = this.#model.objects.get(id);
    if (object?.writers.delete(client)) this.#loseOrphan(object);
  }

  #publish(client: number, id: string): void {
    const value = { bytes: Math.floor(this.#random() * 100), block: null, refs: this.#refs() };
    const refused = this.#refusesRefs(id, value.refs);
    this.#expectThrow(refused, () => this.#table.publish(client, id, value));
    if (refused) return;
    const object = this.#object(id, client);
    object.holders.add(client);
    if (object.ending === null) this.#end(object, 'sealed', value);
  }

  #promise(client: number, id: string): void {
    const promisedBy = this.#model.objects.get(id)?.promisedBy ?? client;
    this.#expectThrow(promisedBy !== client, () => this.#table.promise(client, id));
    if (promisedBy !== client) return;
    const object = this.#object(id, client);
    object.holders.add(client);
    if (object.ending === null) Object.assign(object, { owner: client, promisedBy: client });
  }

  #fail(client: number, id: string): void {
    const object = this.#model.objects.get(id);
    const error = { bytes: Math.floor(this.#random() * 100), block: null, refs: this.#refs() };
    const refused = object !== undefined && this.#refusesRefs(id, error.refs);
    this.#expectThrow(refused, () => this.#table.fail(client, id, error));
    if (!refused && object?.ending === null) this.#end(object, 'failed', error);
  }

  #hold(client: number): void {
    const ids = this.#some();
    const gone = ids.filter((id) => !this.#model.objects.has(id));
    const result = this.#table.hold(client, ids);
    this.#compare(result, gone.length > 0 ? { held: false, gone } : { held: true });
    if (gone.length === 0) for (const id of ids) this.#model.objects.get(id)?.holders.add(client);
  }

  #drop(client: number): void {
    const ids = this.#some();
    this.#table.drop(client, ids);
    for (const id of ids) this.#model.objects.get(id)?.holders.delete(client);
  }

  #open(client: number, id: string): void {
    const object = this.#model.objects.get(id);
    this.#compare(this.#table.open(client, id).kind, this.#kind(object));
    if (object?.ending === 'sealed') object.opens.set(client, (object.opens.get(client) ?? 0) + 1);
  }

  #close(client: number, id: string): void {
    this.#table.close(client, id);
    const object = this.#model.objects.get(id);
    const times = object?.opens.get(client) ?? 0;
    if (object === undefined || times === 0) return;
    if (times > 1) object.opens.set(client, times - 1);
    else object.opens.delete(client);
    if (object.opens.size === 0) object.usedAt = this.#model.tick();
  }

  #wait(client: number, id: string): void {
    const token = this.#nextToken++;
    const object = this.#model.objects.get(id);
    this.#compare(this.#table.wait(client, id, token).kind, this.#kind(object));
    if (object?.ending === null) object.waiters.set(`${client}/${token}`, client);
  }

  #forget(client: number): void {
    const token = Math.floor(this.#random() * this.#nextToken);
    this.#table.forget(client, token);
    for (const { waiters } of this.#model.objects.values()) waiters.delete(`${client}/${token}`);
  }

  #move(id: string): void {
    const object = this.#model.objects.get(id);
    const to = this.#random() < 0.5 ? this.#pick(['spilled', 'away'] as const) : this.#nextBlock++;
    const result = this.#table.moved(id, to);
    if (object?.ending !== 'sealed') {
      this.#compare(result, 'gone');
      return;
    }
    const inMemory = object.block !== null;
    const leaves = typeof to !== 'number';
    const allowed = object.outside !== null ? !leaves : inMemory && object.opens.size === 0;
    this.#compare(result, allowed ? 'moved' : 'refused');
    if (!allowed) return;
    if (leaves) this.#effects.copies.add(id);
    else this.#effects.given.add(to);
    // A block that moves to another place was not used by that.
    if (!inMemory && object.opens.size === 0) object.usedAt = this.#model.tick();
    Object.assign(object, leaves ? { block: null, outside: to } : { block: to, outside: null });
  }

  #watch(id: string): void {
    this.#table.watch(id);
    const object = this.#model.objects.get(id);
    if (object !== undefined) object.watched = true;
  }

  #gone(client: number): void {
    this.#table.clientGone(client);
    this.#clients.splice(this.#clients.indexOf(client), 1);
    const now = this.#model.tick();
    for (const object of this.#model.objects.values()) {
      object.holders.delete(client);
      if (object.opens.delete(client) && object.opens.size === 0) object.usedAt = now;
      for (const [key, waiter] of object.waiters) if (waiter === client) object.waiters.delete(key);
      const wrote = object.writers.delete(client);
      if (object.promisedBy === client) this.#end(object, 'lost', null);
      else if (wrote) this.#loseOrphan(object);
    }
    this.#join();
  }

  #join(): void {
    const client = this.#nextClient++;
    this.#table.clientJoined(client);
    this.#clients.push(client);
  }

  #object(id: string, client: number): ModelObject {
    return this.#model.objects.get(id) ?? this.#model.make(id, client);
  }

  #loseOrphan(object: ModelObject): void {
    if (object.ending === null && object.promisedBy === null && object.writers.size === 0)
      this.#end(object, 'lost', null);
  }

  #end(object: ModelObject, ending: 'sealed' | 'failed' | 'lost', value: StoredValue | null): void {
    Object.assign(object, { ending, promisedBy: null, inlineBytes: value?.bytes ?? 0, refs: value?.refs ?? [] });
    for (const key of object.waiters.keys()) this.#effects.expected.push(`${key}: ${object.id} ${ending}`);
    object.waiters.clear();
  }

  #kind(object: ModelObject | undefined): string {
    return object === undefined ? 'gone' : (object.ending ?? 'pending');
  }

  /** Whether a store of it has to be refused for what the value contains. */
  #refusesRefs(id: string, refs: readonly string[]): boolean {
    const object = this.#model.objects.get(id);
    if (object !== undefined && object.ending !== null) return false;
    return refs.some((ref) => !this.#model.objects.has(ref)) || this.#model.reach(refs).has(id);
  }

  #refs(): string[] {
    if (this.#random() < 0.5) return [];
    const known = [...this.#model.objects.keys()];
    const refs = known.filter(() => this.#random() < 2 / known.length);
    return this.#random() < 0.05 ? [...refs, this.#pick(IDS)] : refs;
  }

  #some(): string[] {
    const wanted = 1 + Math.floor(this.#random() * 3);
    const known = [...this.#model.objects.keys()];
    const ids = Array.from({ length: wanted }, () =>
      this.#pick(known.length > 0 && this.#random() < 0.95 ? known : IDS),
    );
    return ids;
  }

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }

  #compare(got: unknown, wanted: unknown): void {
    if (!isDeepStrictEqual(got, wanted))
      this.#problem = `answered ${JSON.stringify(got)}, not ${JSON.stringify(wanted)}`;
  }

  #expectThrow(wanted: boolean, operation: () => void): void {
    let thrown: unknown = null;
    try {
      operation();
    } catch (error) {
      thrown = error;
    }
    const code = thrown instanceof TwinkleError ? thrown.code : thrown === null ? null : String(thrown);
    if (code !== (wanted ? 'PROTOCOL' : null))
      this.#problem = `threw ${code}, expected ${wanted ? 'PROTOCOL' : 'nothing'}`;
  }
}
