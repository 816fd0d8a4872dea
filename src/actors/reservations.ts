/** Room that clients were given to write objects in, or wait for. */
import { TwinkleError } from '../errors.js';
import type { Block, Reserve } from '../protocol/work.js';
import type { Numbered, ObjectBytes } from './object-bytes.js';
import type { BlockId } from './object-types.js';

/** What it does to the table of objects. */
interface Written {
  reserve(client: number, id: string, block: BlockId, bytes: number): void;
}

export class Reservations {
  readonly #table: Written;
  readonly #bytes: ObjectBytes;
  /** By client and object; what still waits for room can be called off. */
  readonly #all = new Map<number, Map<string, BlockId | AbortController>>();

  constructor(table: Written, bytes: ObjectBytes) {
    this.#table = table;
    this.#bytes = bytes;
  }

  joined(client: number): void {
    this.#all.set(client, new Map());
  }

  /** What it waits for is withdrawn. The blocks that it has are the table's to free. */
  gone(client: number): void {
    const own = this.#all.get(client);
    this.#all.delete(client);
    for (const [id, one] of own ?? []) if (typeof one !== 'number') one.abort(withdrawn(id));
  }

  /**
   * Room, now or when others have left for it.
   * @throws `SHM_FULL`, `STORAGE_FAILED`, `INVALID_REQUEST`; `ABORTED` when it is called off
   */
  reserve(client: number, { id, bytes }: Reserve, signal: AbortSignal): Block | Promise<Block> {
    const own = this.#all.get(client);
    if (own === undefined) throw new TwinkleError('PROTOCOL', `client ${client} is not there (any more)`);
    if (own.has(id)) throw invalid(`expected one reservation of \`${id}\` but received two`);
    const now = this.#bytes.roomNow(bytes);
    if (now !== null) return this.#given(client, own, id, now);
    const waits = new AbortController();
    const room = Promise.resolve(this.#bytes.room(bytes, AbortSignal.any([signal, waits.signal])));
    own.set(id, waits);
    return this.#later(client, own, id, room, waits.signal, signal);
  }

  /** The block that a client writes an object in. */
  of(client: number, id: string): BlockId | undefined {
    const one = this.#all.get(client)?.get(id);
    return typeof one === 'number' ? one : undefined;
  }

  /** Nothing happens when there is none. What still waits is called off. */
  end(client: number, id: string): void {
    const own = this.#all.get(client);
    const one = own?.get(id);
    own?.delete(id);
    if (one !== undefined && typeof one !== 'number') one.abort(withdrawn(id));
  }

  async #later(
    client: number,
    own: Map<string, BlockId | AbortController>,
    id: string,
    coming: Promise<Numbered>,
    calledOff: AbortSignal,
    signal: AbortSignal,
  ): Promise<Block> {
    try {
      const room = await coming;
      if (!signal.aborted && !calledOff.aborted) return this.#given(client, own, id, room);
      this.#bytes.free(room.number);
      throw withdrawn(id);
    } catch (error) {
      if (!calledOff.aborted) own.delete(id); // else it may be another's by now
      throw error;
    }
  }

  #given(client: number, own: Map<string, unknown>, id: string, { number, block }: Numbered): Block {
    try {
      this.#table.reserve(client, id, number, block.size);
      this.#bytes.given(number);
    } catch (error) {
      this.#bytes.free(number);
      throw error;
    }
    own.set(id, number);
    return block;
  }
}

function withdrawn(id: string): TwinkleError {
  return new TwinkleError('ABORTED', `room for \`${id}\` is not wanted any more`);
}

function invalid(message: string): TwinkleError {
  return new TwinkleError('INVALID_REQUEST', message);
}
