/** References to objects, as this process knows them: a slot for each id, with how many references to it live here and its value, or who waits for it. */
import { TwinkleError } from '../errors.js';
import type { Value } from '../protocol/work.js';

/** What a slot has: a value as it travelled (`body` is empty where it lies with the node), or an error of this process's own. */
export type Stored =
  | { readonly value: Value; readonly body: Uint8Array; readonly keep: readonly string[] }
  | { readonly error: Error };

/** Whether `get` throws. */
export function isFailed(stored: Stored): boolean {
  return 'error' in stored || stored.value.f === 'error';
}

type Callback = (slot: Slot) => void;
const NONE: Callback[] = []; // never changed

/** One object, here. */
export class Slot {
  /** References to it in this process. */
  count = 0;
  stored: Stored | null = null;
  /** The node has it in its table, and counts this process among its holders. */
  known: boolean;
  /** Of a borrowed one: the node has been told that this process holds it. */
  held = false;
  /** The node has been asked for its value. */
  asked = false;
  #callbacks = NONE;

  constructor(
    readonly id: string,
    /** Another process made it: its value comes from the node. */
    readonly borrowed: boolean,
  ) {
    this.known = borrowed;
  }

  get done(): boolean {
    return this.stored !== null;
  }

  /** Its value is there: whoever asked is told. The first value counts. */
  fulfil(stored: Stored): void {
    if (this.stored !== null) return;
    this.stored = stored;
    const callbacks = this.#callbacks;
    this.#callbacks = NONE;
    // One after another, not one within another: a failure may go through a thousand calls that wait for each other.
    for (const callback of callbacks) told.push(callback, this);
    if (telling) return;
    telling = true;
    try {
      for (let at = 0; at < told.length; at += 2) (told[at] as Callback)(told[at + 1] as Slot);
    } finally {
      told.length = 0;
      telling = false;
    }
  }

  /** Call back when it has its value: at once if it has. Must not throw. */
  whenDone(callback: Callback): void {
    if (this.stored !== null) callback(this);
    else if (this.#callbacks.length === 0) this.#callbacks = [callback];
    else this.#callbacks.push(callback);
  }
}

function insideOf(stored: Stored | null): readonly string[] {
  return stored !== null && 'keep' in stored ? stored.keep : [];
}

/** Callbacks that are to be called, each with its slot. */
const told: (Callback | Slot)[] = [];
let telling = false;

export class RefTable {
  readonly #slots = new Map<string, Slot>();
  readonly #gone: (slot: Slot) => void;

  /** @param gone no reference to it is left */
  constructor(gone: (slot: Slot) => void) {
    this.#gone = gone;
  }

  get size(): number {
    return this.#slots.size;
  }

  find(id: string): Slot | null {
    return this.#slots.get(id) ?? null;
  }

  /** One more reference. */
  take(id: string, borrowed = false): Slot {
    let slot = this.#slots.get(id);
    if (slot === undefined) {
      slot = new Slot(id, borrowed);
      this.#slots.set(id, slot);
    }
    slot.count += 1;
    return slot;
  }

  /** One reference less. */
  release(id: string): void {
    const ids = [id];
    for (let next = ids.pop(); next !== undefined; next = ids.pop()) {
      const slot = this.#slots.get(next);
      if (slot === undefined) continue;
      slot.count -= 1;
      if (slot.count > 0) continue;
      this.#slots.delete(next);
      this.#gone(slot);
      // Not one within another: values may be a thousand deep. What comes when nobody wants it any more lets go of what is inside, too.
      if (slot.stored !== null) for (const inside of insideOf(slot.stored)) ids.push(inside);
      else
        slot.whenDone(({ stored }) => {
          for (const inside of insideOf(stored)) this.release(inside);
        });
    }
  }
}

/**
 * A reference to an object: the result of a call, or what was put. It may be an argument of calls, alone or inside of arrays and objects.
 * The object lives while somebody refers to it: dispose of it, or let the collector find that nobody has it.
 */
export class ObjectRef<T = unknown> implements Disposable {
  /** Only for the type: what `get` gives. */
  declare readonly __type?: T;
  readonly #slot: Slot;
  readonly #table: RefTable;
  #released = false;

  /** For the client only: the slot has been counted. */
  constructor(slot: Slot, table: RefTable) {
    this.#slot = slot;
    this.#table = table;
    collected.register(this, { id: slot.id, table }, this);
  }

  /** Names the object on its cluster. */
  get id(): string {
    return this.#slot.id;
  }

  /** Idempotent. The reference can be used no more. */
  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    collected.unregister(this);
    this.#table.release(this.#slot.id);
  }

  /** For the client only. Throws `INVALID_REQUEST` when it was disposed of, or belongs to another runtime. */
  slotOf(table: RefTable): Slot {
    if (this.#released) throw new TwinkleError('INVALID_REQUEST', `the reference ${this.id} was disposed of`);
    if (this.#table !== table)
      throw new TwinkleError('INVALID_REQUEST', `the reference ${this.id} is of another runtime`);
    return this.#slot;
  }
}

const collected = new FinalizationRegistry<{ readonly id: string; readonly table: RefTable }>(({ id, table }) =>
  table.release(id),
);
