/** Answers who wants to read an object: waits until it has a value, and until its bytes are in memory. */
import { TwinkleError } from '../errors.js';
import type { Ids, Opened, Value } from '../protocol/work.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { WithBody } from './client-peer.js';
import type { ObjectBytes } from './object-bytes.js';
import type { ObjectTable } from './object-table.js';
import type { Look, Outcome, StoredValue, Waiter } from './object-types.js';

/** A value as the node keeps it. */
export interface Kept extends StoredValue {
  readonly value: Value;
  /** Its bytes, when they are not in a block. */
  readonly body: Buffer;
  /** Others keep count of it, and know where its bytes are. */
  readonly adopted?: boolean;
}

export const NOTHING = Buffer.alloc(0);

export class ObjectReader {
  readonly #table: ObjectTable<Kept>;
  readonly #bytes: ObjectBytes;
  /** Answers that wait for a value, by token. */
  readonly #waits = new Map<number, Deferred<Outcome<Kept>>>();
  #nextToken = 0;

  constructor(table: ObjectTable<Kept>, bytes: ObjectBytes) {
    this.#table = table;
    this.#bytes = bytes;
  }

  /** See `ObjectSink`. */
  fulfilled(outcome: Outcome<Kept>, waiters: readonly Waiter[]): void {
    for (const { token } of waiters) this.#waits.get(token)?.resolve(outcome);
  }

  /**
   * Values, each open until it is closed if its bytes are in a block; waits for those that are promised, on disk, or with another box.
   * @throws `OBJECT_LOST`, `SHM_FULL`, `STORAGE_FAILED`, what a source throws; then none is open
   */
  async open(client: number, { ids }: Ids, signal: AbortSignal): Promise<WithBody> {
    const opened: Opened[] = [];
    const body: Buffer[] = [];
    try {
      for (const id of ids) {
        const [one, bytes] = await this.#opened(client, id, signal);
        opened.push(one);
        body.push(bytes);
      }
    } catch (error) {
      opened.forEach(({ block }, at) => {
        if (block !== null) this.#close(client, ids[at] as string);
      });
      throw error;
    }
    return new WithBody(opened, body);
  }

  /**
   * A value that is there or promised. One whose bytes are in a block, or not in memory, comes without them, and is not open: its `at`
   * says so.
   * @throws `OBJECT_LOST`
   */
  async look(client: number, id: string, signal: AbortSignal): Promise<WithBody> {
    const look = await this.#look(client, id, signal);
    if (look.kind === 'sealed') this.#close(client, id);
    const { value, body } = kept(look, id);
    const block = look.kind === 'sealed' && look.block !== null ? this.#bytes.block(look.block) : undefined;
    const isLarge = block !== undefined || (look.kind === 'sealed' && look.spilled);
    return new WithBody({ value: isLarge ? { ...value, at: id } : value, block: null } satisfies Opened, [body]);
  }

  async #opened(client: number, id: string, signal: AbortSignal): Promise<readonly [Opened, Buffer]> {
    const look = await this.#look(client, id, signal);
    const { value, body } = kept(look, id);
    if (look.kind !== 'sealed') return [{ value, block: null }, body];
    const number = look.spilled ? await this.#restored(client, id, signal) : look.block;
    const block = number === null ? undefined : this.#bytes.block(number);
    if (block !== undefined) return [{ value, block }, NOTHING];
    this.#close(client, id);
    return [{ value, block: null }, body];
  }

  /** Sealed objects are open after it. */
  async #look(client: number, id: string, signal: AbortSignal): Promise<Look<Kept>> {
    signal.throwIfAborted();
    const look = this.#table.open(client, id);
    if (look.kind !== 'pending') return look;
    const outcome = await this.#fulfilled(client, id, signal);
    signal.throwIfAborted();
    const now = this.#table.open(client, id);
    // Where nobody but who waited kept it, it is gone by now; what is small came with the word.
    const isLarge = outcome.kind === 'sealed' && (outcome.block !== null || outcome.spilled);
    return now.kind === 'gone' && !isLarge ? outcome : now;
  }

  /** The block of an object that was opened while it was not in memory. When this throws, it is closed. */
  async #restored(client: number, id: string, signal: AbortSignal): Promise<number> {
    try {
      await this.#bytes.restore(id, signal);
    } catch (error) {
      this.#close(client, id);
      throw error;
    }
    const block = this.#table.place(id)?.block ?? null;
    if (block === null) throw lost(id, 'it was closed before it was back in memory');
    return block;
  }

  async #fulfilled(client: number, id: string, signal: AbortSignal): Promise<Outcome<Kept>> {
    const token = this.#nextToken++;
    this.#table.wait(client, id, token);
    const wait = deferred<Outcome<Kept>>();
    this.#waits.set(token, wait);
    const withdraw = (): void => {
      this.#table.forget(client, token);
      wait.reject(signal.reason);
    };
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      return await wait.promise;
    } finally {
      signal.removeEventListener('abort', withdraw);
      this.#waits.delete(token);
    }
  }

  #close(client: number, id: string): void {
    this.#table.close(client, id);
    this.#bytes.changed();
  }
}

export function lost(id: string, why: string, details: Readonly<Record<string, unknown>> = {}): TwinkleError {
  return new TwinkleError('OBJECT_LOST', `object ${id} is lost: ${why}`, { details });
}

/** Throws `OBJECT_LOST` when there is no value. */
function kept(look: Look<Kept>, id: string): Kept {
  switch (look.kind) {
    case 'pending':
    case 'gone':
      throw lost(id, 'nobody held it any more');
    case 'lost': {
      const { owner, reason } = look;
      throw lost(
        id,
        reason === 'OWNER_DIED' ? `its owner, client ${owner}, ended before it had a value` : 'it was never written',
      );
    }
    case 'failed':
      return look.error;
    case 'sealed':
      return look.value;
  }
}
