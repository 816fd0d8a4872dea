/** Values of this process: packed for others, stored with the node when they are large, and read again without a copy. */
import { TwinkleError } from '../errors.js';
import type { Native } from '../native/types.js';
import type { ActorCard, Block, Opened, SlabPlace, Value } from '../protocol/work.js';
import { collectGarbage } from './collect.js';
import { errorOf } from './failures.js';
import type { Link } from './link.js';
import { decode, type Escape, mayView, type Packed } from './portable.js';
import { encode } from './portable-writer.js';
import { ObjectRef, RefTable, type Slot, type Stored } from './refs.js';
import { aligned, Slabs } from './slabs.js';
import { cut, type Outgoing, sizeOf, travellingOf, travels } from './travelling.js';

export interface ObjectsOptions {
  readonly native: Pick<Native, 'mapPrivate'>;
  readonly link: Link;
  /** Number of this client. */
  readonly client: number;
  readonly inlineBytes: number;
  /** See `Joined`. */
  readonly settle: boolean;
  /** What stands for an actor's handle; null: it is none. */
  cardOf(value: object): ActorCard | null;
  /** The handle of a card that came in a value. */
  handleOf(card: ActorCard): unknown;
}

const NOTHING = new Uint8Array(0);

export class Objects implements Disposable {
  readonly refs: RefTable;
  readonly #options: ObjectsOptions;
  readonly #slabs: Slabs;
  /** Of memory that values lie in, by object; and of nothing, to be called back. */
  readonly #collected: FinalizationRegistry<string | (() => void)>;
  #next = 0;

  constructor(options: ObjectsOptions) {
    this.#options = options;
    const { link, native } = options;
    this.#slabs = new Slabs(native, async (slab) => (await link.ask('slab.where', { slab })).value as SlabPlace);
    this.refs = new RefTable((slot) => {
      if (slot.known) this.giveUp(slot.id);
    });
    this.#collected = new FinalizationRegistry((gone) => {
      if (typeof gone === 'function') setImmediate(gone);
      else link.tell('object.close', { ids: [gone] });
    });
  }

  newId(): string {
    return `${this.#options.client}.${this.#next++}`;
  }

  /** A reference to an object of this process that has no value yet. */
  newSlot(): Slot {
    return this.refs.take(this.newId());
  }

  refOf<T>(slot: Slot): ObjectRef<T> {
    return new ObjectRef<T>(slot, this.refs);
  }

  slotOf(ref: ObjectRef): Slot {
    return ref.slotOf(this.refs);
  }

  /** One more reference to an object of another process. `held`: the node counts this process already, or is being told. */
  borrow(id: string, held: boolean): Slot {
    const slot = this.refs.take(id, true);
    if (held) {
      slot.known = true;
      slot.held = true;
    } else if (slot.borrowed && !slot.held) {
      slot.held = true;
      this.#options.link.ask('object.hold', { ids: [id] }).catch(() => {
        slot.held = false; // whoever asks for its value hears why
      });
    }
    return slot;
  }

  forgetSlab(slab: number): void {
    this.#slabs.forget(slab);
  }

  /** Close what only garbage has open; calls back when the node has been told. */
  collect(done: () => void): void {
    // Its own finaliser runs with those of the garbage: after that nothing is left to be told.
    this.#collected.register({}, done);
    collectGarbage();
  }

  [Symbol.dispose](): void {
    this.#slabs[Symbol.dispose]();
  }

  // ---- out ----

  /** Make a value ready to travel. @param name what errors call it. Rejects with `SERIALIZATION`, `SHM_FULL`, … */
  async prepare(value: unknown, name: string): Promise<Outgoing> {
    const keep: string[] = [];
    try {
      const packed = encode(value, this.#escape(keep), name);
      const parts = this.#copied(packed);
      await this.makeKnown(keep);
      if (parts !== null) return { value: travellingOf(packed, keep), parts, keep };
      const slot = this.newSlot();
      keep.push(slot.id);
      return { value: await this.#seal(slot.id, packed, keep.slice(0, -1)), parts: [], keep };
    } catch (error) {
      this.release(keep);
      throw error;
    }
  }

  /** Whether a value can travel at once: nothing has to be told to the node before. Its `Outgoing` then, else null. */
  prepareNow(value: unknown, name: string): Outgoing | null {
    const keep: string[] = [];
    let packed: Packed;
    try {
      packed = encode(value, this.#escape(keep), name);
    } catch (error) {
      this.release(keep);
      throw error;
    }
    const parts = keep.some((id) => this.refs.find(id)?.known === false) ? null : this.#copied(packed);
    if (parts !== null) return { value: travellingOf(packed, keep), parts, keep };
    this.release(keep);
    return null;
  }

  /** Keep a value. */
  async put(value: unknown): Promise<Slot> {
    if (value instanceof ObjectRef) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        'expected a value for `put` but received an ObjectRef; put the array that holds it',
      );
    }
    const slot = this.newSlot();
    const keep: string[] = [];
    try {
      const packed = encode(value, this.#escape(keep));
      const parts = this.#copied(packed);
      await this.makeKnown(keep);
      slot.fulfil(
        parts === null
          ? { value: await this.#seal(slot.id, packed, keep), body: NOTHING, keep }
          : { value: travellingOf(packed, keep), body: Buffer.concat(parts), keep },
      );
      return slot;
    } catch (error) {
      this.release([...keep, slot.id]);
      throw error;
    }
  }

  /** What the node holds for this process under that name, if anything, is of no use to it. */
  giveUp(id: string): void {
    this.#options.link.tell('object.drop', { ids: [id] });
  }

  release(ids: readonly string[]): void {
    for (const id of ids) this.refs.release(id);
  }

  /** Before references leave: the node must have their values, or the promises of them. */
  async makeKnown(ids: readonly string[]): Promise<void> {
    const slots = ids.map((id) => this.refs.find(id)).filter((slot) => slot !== null && !slot.known) as Slot[];
    if (slots.length === 0) return;
    const travelling = slots.map(({ stored }) => (stored === null ? null : travels(stored)));
    const body = travelling.flatMap((one) => (one === null ? [] : one.parts));
    const published = slots.map(({ id }) => id);
    await this.#options.link.ask(
      'object.publish',
      { ids: published, values: travelling.map((one) => one?.value ?? null) },
      body,
    );
    slots.forEach((slot, at) => {
      slot.known = true;
      if (travelling[at] === null) slot.whenDone((done) => this.#fulfil(done));
    });
  }

  // ---- in ----

  /** Begin to ask for the value of an object of another process. */
  fetch(slot: Slot): void {
    if (!slot.borrowed || slot.asked || slot.done) return;
    slot.asked = true;
    const { link } = this.#options;
    link.ask('object.look', { id: slot.id }).then(
      ({ value: answer, body }) => {
        const { value } = answer as Opened;
        slot.fulfil({ value, body, keep: value.refs.map((id) => this.borrow(id, false).id) });
      },
      (error) => slot.fulfil({ error }),
    );
  }

  /** The JavaScript value. Rejects with what it is an error of. */
  async valueOf(stored: Stored): Promise<unknown> {
    if ('error' in stored) throw stored.error;
    const { value, body } = stored;
    if (value.f === 'error') throw errorOf(body);
    return value.at === '' ? this.#readBody(value, body) : await this.#open(value.at);
  }

  async #open(id: string): Promise<unknown> {
    const { link } = this.#options;
    const { value: answer, body } = await link.ask('object.open', { ids: [id] });
    const [{ value, block }] = answer as [Opened];
    if (block === null) return await this.valueOf({ value: { ...value, at: '' }, body, keep: [] });
    let viewed = false;
    try {
      const { memory, parts } = await this.#slabs.read(block, value.s);
      const read = this.#read(value, parts);
      viewed = mayView(value.f, parts);
      // Its block stays where it is until nothing lies in it any more.
      if (viewed) this.#collected.register(memory, id);
      return read;
    } finally {
      if (!viewed) link.tell('object.close', { ids: [id] });
    }
  }

  /** Others read the same body: what the program writes to what it gets stays its own. */
  #readBody(value: Value, body: Uint8Array): unknown {
    return this.#read(value, cut(value, mayView(value.f, value.s) ? new Uint8Array(body) : body));
  }

  #read(value: Value, parts: readonly Uint8Array[]): unknown {
    return decode(value.f, parts, (payload) =>
      payload[0] === 'ref'
        ? this.refOf(this.borrow(payload[1], false))
        : this.#options.handleOf(payload[2] as ActorCard),
    );
  }

  /** The parts of a small value: it may be sent later, and the program may change what it has by then. Null: it is large. */
  #copied(packed: Packed): readonly Uint8Array[] | null {
    if (sizeOf(packed) > this.#options.inlineBytes) return null;
    const { format, head, buffers } = packed;
    return [format === 'raw' ? new Uint8Array(head) : head, ...buffers.map((buffer) => new Uint8Array(buffer))];
  }

  async #seal(id: string, packed: Packed, refs: readonly string[]): Promise<Value> {
    const { link, client, settle } = this.#options;
    const parts = [packed.head, ...packed.buffers];
    const bytes = parts.reduce((sum, part) => sum + aligned(part.byteLength), 0);
    const block = (await link.ask('object.reserve', { id, bytes })).value as Block;
    const value = { ...travellingOf(packed, refs), at: id };
    const seal = { id, value, holders: [client] };
    try {
      await this.#slabs.write(block, parts);
      if (settle) await link.ask('object.seal', seal);
      else link.tell('object.seal', seal);
    } catch (error) {
      link.ask('object.abandon', { id }).catch(() => {});
      throw error;
    }
    const slot = this.refs.find(id);
    if (slot !== null) slot.known = true;
    return value;
  }

  #fulfil(slot: Slot): void {
    const { id, stored } = slot;
    if (stored === null) return;
    const { value, parts } = travels(stored);
    if (value.at !== '') return; // the worker has sealed it
    const { link } = this.#options;
    link.tell('object.fulfil', { ids: [id], values: [value] }, parts);
    if (this.refs.find(id) !== slot) this.giveUp(id); // who fulfils holds it, and nobody here wants it any more
  }

  /** Counts what leaves, once for each. */
  #escape(keep: string[]): Escape {
    const kept = new Set<string>();
    return (found) => {
      const card = found instanceof ObjectRef ? null : this.#options.cardOf(found);
      const id = found instanceof ObjectRef ? this.slotOf(found).id : card?.id;
      if (id === undefined) return null;
      if (!kept.has(id)) {
        kept.add(id);
        this.refs.take(id);
        keep.push(id);
      }
      return card === null ? ['ref', id] : ['actor', id, card];
    };
  }
}
