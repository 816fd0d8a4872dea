/** Clients that write, open, close and drop objects at random, all at once, in a store that has room for few of them. Some are on another box, and another box reads some. */

import { TwinkleError } from '../../../src/errors.js';
import type { Opened } from '../../../src/protocol/work.js';
import { deferred } from '../../../src/util/deferred.js';
import { randomFrom } from '../../support/random.js';
import { diskFull, PlayedSource, SpillingKit } from './spilling-kit.js';

const SLAB = 16 * 1024;
const CAPACITY = 4 * SLAB;

interface Client {
  readonly number: number;
  readonly held: Set<string>;
  /** What it has reserved, or waits for. */
  readonly writes: Set<string>;
  /** What it reads, once for each time that it opened it. */
  readonly views: { readonly id: string; readonly opened: Opened }[];
  readonly gone: AbortController;
}

/** How often what happened, so that a test can say that all of it did. */
export type Counts = Record<string, number>;

export async function simulate(seed: number, steps: number): Promise<Counts> {
  await using run = new Simulation(seed);
  for (let step = 0; step < steps; step++) await run.step();
  await run.end();
  return run.counts;
}

class Simulation implements AsyncDisposable {
  readonly counts: Counts = {};
  readonly #random: () => number;
  readonly #kit = new SpillingKit({ capacity: CAPACITY, slabBytes: SLAB, letGo: () => this.#letGo() });
  readonly #clients: Client[] = [];
  /** What was written into each object: never changes. */
  readonly #letters = new Map<string, string>();
  readonly #sources: PlayedSource[] = [];
  #sourcesFail = true;
  readonly #under = new Set<Promise<void>>();
  #problem: Error | null = null;
  #next = 0;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    for (let n = 0; n < 4; n++) this.#join();
    this.#kit.files.failure = () => (this.#random() < 0.03 ? this.#counted('disk refused', diskFull()) : null);
  }

  async step(): Promise<void> {
    const client = this.#pick(this.#clients);
    const chance = this.#random();
    if (chance < 0.25) this.#start(this.#put(client));
    else if (chance < 0.35) this.#putAway(client);
    else if (chance < 0.65) this.#start(this.#open(client));
    else if (chance < 0.7) this.#start(this.#visit(client));
    else if (chance < 0.85) this.#close(client);
    else if (chance < 0.99) this.#drop(client);
    else this.#die(client);
    // Sometimes the next comes before anything could happen, sometimes after the disk has answered.
    const pause = this.#random();
    if (pause < 0.3) await new Promise(setImmediate);
    else if (pause < 0.4 && this.#under.size > 0) await Promise.race(this.#under);
    if (this.#under.size > 12) await Promise.race(this.#under);
    if (this.#problem !== null) throw this.#problem;
  }

  /** All that is held can be read; then nothing is left. */
  async end(): Promise<void> {
    await Promise.all(this.#under);
    if (this.#problem !== null) throw this.#problem;
    this.#kit.files.failure = () => null;
    this.#sourcesFail = false;
    for (const client of this.#clients) while (client.views.length > 0) this.#close(client);
    for (const client of this.#clients) {
      for (const id of client.held) {
        this.#check(id, await this.#kit.open(client.number, id));
        this.#kit.close(client.number, id);
      }
    }
    for (const client of this.#clients) this.#kit.drop(client.number, ...client.held);
    await this.#kit.desk.settled();
    const { objects, usedBytes, spilledBytes, spilledObjects, awayBytes } = this.#kit.desk.status();
    const sources = this.#sources.filter(({ removals }) => removals !== 1).length;
    const left = { objects, usedBytes, spilledBytes, spilledObjects, awayBytes, sources, files: this.#kit.filesLeft };
    if (Object.values(left).some((count) => count > 0)) throw new Error(`something is left: ${JSON.stringify(left)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kit[Symbol.asyncDispose]();
  }

  async #put(client: Client): Promise<void> {
    const again = this.#random() < 0.1 ? [...this.#letters.keys()].at(-1) : undefined;
    const id = again ?? `o.${this.#next++}`;
    const letter = this.#letters.get(id) ?? String.fromCharCode(97 + (this.#next % 26));
    this.#letters.set(id, letter);
    const first = !client.writes.has(id); // else it is refused
    client.writes.add(id);
    try {
      await this.#write(client, id, letter);
    } finally {
      if (first) client.writes.delete(id);
    }
  }

  async #write(client: Client, id: string, letter: string): Promise<void> {
    const bytes = this.#random() < 0.1 ? 1 + this.#upTo(CAPACITY) : 1 + this.#upTo(SLAB / 2);
    const signal = this.#signal(client);
    const block = await this.#kit.reserve(client.number, id, bytes, signal);
    if (this.#random() < 0.3) await new Promise(setImmediate); // it writes for a while
    if (client.gone.signal.aborted) return;
    if (this.#random() < 0.1) {
      this.#kit.desk.abandon(client.number, id);
      this.#count('abandoned');
      return;
    }
    const holders = this.#clients.filter((one) => one === client || this.#random() < 0.3);
    this.#kit.seal(
      client.number,
      id,
      block,
      letter,
      holders.map(({ number }) => number),
    );
    for (const holder of holders) holder.held.add(id);
    this.#count('put');
  }

  #putAway(client: Client): void {
    const again = this.#random() < 0.1 ? [...this.#letters.keys()].at(-1) : undefined;
    const id = again ?? `o.${this.#next++}`;
    const letter = this.#letters.get(id) ?? String.fromCharCode(97 + (this.#next % 26));
    this.#letters.set(id, letter);
    if (client.writes.has(id)) return; // that would end what it has reserved for it
    const source = this.#source(1 + this.#upTo(SLAB / 2), letter);
    const holders = this.#clients.filter((one) => one === client || this.#random() < 0.3);
    const kept = this.#random() < 0.05 ? [] : holders;
    const result = this.#kit.putAway(
      client.number,
      id,
      source,
      kept.map(({ number }) => number),
    );
    for (const holder of kept) holder.held.add(id);
    this.#count(`away ${result}`);
  }

  /** Reads fail, wait and go on though nobody wants them, by chance. */
  #source(bytes: number, letter: string): PlayedSource {
    const source = new PlayedSource(bytes, letter);
    const { read } = source;
    source.read = (to, signal) => {
      const waits = this.#random() < 0.7;
      if (waits) source.gate = deferred();
      source.deaf = this.#random() < 0.5;
      const { gate } = source;
      if (waits) setImmediate(() => gate?.resolve());
      return read.call(source, to, signal);
    };
    source.failure = () =>
      this.#sourcesFail && this.#random() < 0.05
        ? this.#counted('source failed', new TwinkleError('NODE_LOST', 'the other box is away'))
        : null;
    this.#sources.push(source);
    return source;
  }

  /** Another box reads what the client holds. */
  async #visit({ held, gone }: Client): Promise<void> {
    const id = this.#pick([...held]);
    if (id === undefined) return;
    const end = new AbortController();
    if (this.#random() < 0.1) setImmediate(() => end.abort(new Error('it was withdrawn')));
    const reading = this.#kit.desk.takeOut(id, end.signal);
    const object = await reading.catch((error: unknown) => {
      if (error instanceof TwinkleError && error.code === 'OBJECT_LOST' && !held.has(id)) return null;
      throw error;
    });
    if (object === null || gone.signal.aborted) {
      object?.close();
      return;
    }
    if (this.#random() < 0.5) await new Promise(setImmediate); // it reads for a while
    const bytes = object.part(0, object.size);
    const [first = 0] = bytes;
    this.#check(id, bytes.every((byte) => byte === first) ? String.fromCharCode(first) : 'a mixture');
    object.close();
    this.#count('visited');
  }

  async #open(client: Client): Promise<void> {
    const id = this.#pick([...client.held]);
    if (id === undefined) return;
    const where = this.#kit.where()[id];
    const { value } = await this.#kit.desk.open(client.number, { ids: [id] }, this.#signal(client));
    const [opened] = value as [Opened];
    if (client.gone.signal.aborted) return;
    this.#check(id, opened.block === null ? 'nothing' : this.#kit.letters(opened.block));
    client.views.push({ id, opened });
    this.#count(where === 'spilled' ? 'opened from disk' : where === 'away' ? 'opened from away' : 'opened');
    // What is open must stay where it is, so most of it is closed soon.
    if (client.views.length > 2) this.#close(client);
  }

  #close(client: Client): void {
    const [view] = client.views.splice(this.#upTo(client.views.length), 1);
    if (view === undefined) return;
    this.#check(view.id, view.opened.block === null ? 'nothing' : this.#kit.letters(view.opened.block));
    this.#kit.close(client.number, view.id);
  }

  #drop(client: Client): void {
    const id = this.#pick([...client.held]);
    if (id === undefined) return;
    client.held.delete(id);
    this.#kit.drop(client.number, id);
    this.#count('dropped');
  }

  #die(client: Client): void {
    for (const { id, opened } of client.views) this.#check(id, this.#kit.letters(opened.block as never));
    client.gone.abort(new Error('it died'));
    this.#clients.splice(this.#clients.indexOf(client), 1);
    this.#kit.desk.gone(client.number);
    this.#join();
    this.#count('died');
  }

  /** One of them closes one, a moment later. */
  #letGo(): Promise<void> | null {
    const keeper = this.#clients.find(({ views }) => views.length > 0);
    if (keeper === undefined) return null;
    this.#count('let go');
    return Promise.resolve().then(() => this.#close(keeper));
  }

  #join(): void {
    const number = ++this.#next;
    this.#kit.desk.joined(number);
    this.#clients.push({ number, held: new Set(), writes: new Set(), views: [], gone: new AbortController() });
  }

  /** Ends with the client; sometimes before. */
  #signal({ gone }: Client): AbortSignal {
    if (this.#random() > 0.1) return gone.signal;
    const withdrawn = new AbortController();
    setImmediate(() => withdrawn.abort(new Error('it was withdrawn')));
    return AbortSignal.any([gone.signal, withdrawn.signal]);
  }

  /** Refusals that may be are counted, others are the end. */
  #start(doing: Promise<void>): void {
    const done = doing
      .catch((error: unknown) => {
        const { code, message } = error as { readonly code?: string; readonly message: string };
        const why = code ?? message;
        if (
          !/SHM_FULL|STORAGE_FAILED|NODE_LOST|it died|it was withdrawn|ABORTED|received two/.test(`${why} ${message}`)
        ) {
          this.#problem ??= error as Error;
        }
        this.#count(why);
      })
      .then(() => void this.#under.delete(done));
    this.#under.add(done);
  }

  #check(id: string, letter: string): void {
    if (letter === this.#letters.get(id)) return;
    this.#problem ??= new Error(`${id}: expected ${this.#letters.get(id)} but read ${letter}`);
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  #counted<T>(what: string, value: T): T {
    this.#count(what);
    return value;
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * most);
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#upTo(of.length)] as T;
  }
}
