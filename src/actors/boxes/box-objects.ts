/**
 * Objects of a box that is not the head's: their bytes are here, the head counts who holds them. What clients open that is elsewhere is found
 * by the head, and read from the box that has it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TwinkleError } from '../../errors.js';
import type { Ids, Opened, Seal } from '../../protocol/work.js';
import { WithBody } from '../client.js';
import { type ObjectDesk, SERVICE } from '../object-desk.js';
import type { Memory } from '../slab-store.js';
import { IN_BLOCK, sizeOf } from '../value-size.js';
import { type Draw, fetchInto } from './fetch.js';
import type { Questions } from './questions.js';
import { readAgain } from './read-again.js';
import type { Ways } from './ways.js';

export interface BoxObjectsOptions {
  /** Of this box. */
  readonly desk: ObjectDesk;
  readonly questions: Questions;
  readonly ways: Pick<Ways, 'draw' | 'has'>;
}

export class BoxObjects {
  readonly #options: BoxObjectsOptions;

  constructor(options: BoxObjectsOptions) {
    this.#options = options;
  }

  /** The bytes stay here, held for the head. Throws as `ObjectDesk.seal`, and what the head throws. */
  async seal(client: number, seal: Seal): Promise<void> {
    const { desk, questions } = this.#options;
    const stored = desk.seal(client, { ...seal, holders: [SERVICE] }, []);
    // Late: a worker of before has written it here, or another box has, of which this one has a copy. The head may have it for lost.
    const isOurs = stored !== 'late';
    try {
      const known = await questions.ask('work.seal', { client, seal });
      if (known !== 'stored' && isOurs) desk.drop(SERVICE, { ids: [seal.id] });
    } catch (error) {
      if (isOurs) desk.drop(SERVICE, { ids: [seal.id] });
      throw error;
    }
  }

  /** As `ObjectDesk.open`, wherever they are. */
  async open(client: number, { ids }: Ids, signal: AbortSignal): Promise<WithBody> {
    const { desk } = this.#options;
    if (ids.every((id) => this.#knows(id))) return await desk.open(client, { ids }, signal);
    const opened: Opened[] = [];
    const body: Uint8Array[] = [];
    try {
      for (const id of ids) {
        const { value, body: bytes } = await this.#opened(client, id, signal);
        opened.push(...(value as Opened[]));
        body.push(...bytes);
      }
    } catch (error) {
      const done = ids.filter((_id, at) => opened[at]?.block != null);
      desk.close(client, { ids: done });
      throw error;
    }
    return new WithBody(opened, body);
  }

  /** The head says that nobody holds them any more. An answer that came with it may still be on its way to who adopts one. */
  async drop(ids: readonly string[]): Promise<void> {
    await nextTurn();
    this.#options.desk.drop(SERVICE, { ids: [...ids] });
  }

  /** What is lost may be found elsewhere: it may have been made again. */
  #knows(id: string): boolean {
    const { desk } = this.#options;
    return desk.has(id) && !desk.isLost(id);
  }

  async #opened(client: number, id: string, signal: AbortSignal): Promise<WithBody> {
    const { desk, questions, ways } = this.#options;
    if (!this.#knows(id)) {
      const { value, body, node } = await questions.withdrawable('work.find', { client, id }, signal);
      if (node === null) return new WithBody([{ value, block: null } satisfies Opened], [body]);
      desk.adoptAway(id, value, {
        ...{ bytes: sizeOf(value, IN_BLOCK), node, remove() {}, isLost: () => !ways.has(node) },
        read: (to, end) => this.#read(node, id, to, end),
      });
    }
    return await desk.open(client, { ids: [id] }, signal);
  }

  async #read(node: string, id: string, to: Memory, signal?: AbortSignal): Promise<void> {
    const { ways } = this.#options;
    const draw: Draw = (want, begin, end) => ways.draw(node, want, begin, end);
    const read = (): Promise<void> => fetchInto(draw, { t: 'object', id }, to, signal);
    try {
      await readAgain(read, () => ways.has(node), signal);
    } catch (error) {
      if (ways.has(node)) throw error;
      const message = `object ${id} is lost: it was on node ${node}, which has left`;
      throw new TwinkleError('OBJECT_LOST', message, { cause: error, details: { node } });
    }
  }
}
