/** The ways from a box to others, whose doors its head tells it: streams to them, and where their workers can be called here. */
import { TwinkleError } from '../../errors.js';
import type { Logger } from '../../observability/logger.js';
import { draw } from '../../transport/door-draw.js';
import { type Knocked, knock } from '../../transport/door-knock.js';
import type { DoorPlace } from '../../transport/door-reach.js';
import { bytesOf } from './box-methods.js';
import type { Draw } from './fetch.js';
import { Relays } from './relays.js';
import type { Doors } from './words.js';

export interface WaysOptions {
  /** Id of this box. */
  readonly node: string;
  readonly doors: Doors;
  /** 0700; sockets that stand for workers of other boxes. */
  readonly socketFolder: string;
  readonly log: Logger;
  /** See `OneRelay`. */
  broken(node: string, path: string, why: string): void;
}

export class Ways implements AsyncDisposable {
  readonly #node: string;
  readonly #relays: Relays;
  #doors: Doors;

  constructor({ node, doors, socketFolder, log, broken }: WaysOptions) {
    this.#node = node;
    this.#doors = doors;
    this.#relays = new Relays({
      ...{ folder: socketFolder, log, broken },
      knock: async (to, want) => (await this.knock(to, want)).stream,
    });
  }

  /** Those that are there now. */
  learn(doors: Doors): void {
    const before = this.#doors;
    this.#doors = doors;
    for (const node of Object.keys(before)) if (!Object.hasOwn(doors, node)) this.#relays.gone(node);
  }

  /** Whether that box is there, as far as is known. */
  has(node: string): boolean {
    return Object.hasOwn(this.#doors, node);
  }

  /** A stream to another box. Throws `NODE_LOST`, and what `knock` throws. */
  async knock(node: string, want: object, signal?: AbortSignal): Promise<Knocked> {
    return await knock(this.#door(node), want, signal);
  }

  /** Bytes from another box. Throws `NODE_LOST`, and what `draw` throws. */
  async draw(node: string, ...what: Parameters<Draw>): Promise<void> {
    await draw(this.#door(node), ...what);
  }

  /** Where a client of this box calls the worker that has that path on its own. Throws as {@link Relays.reach}. */
  reach(node: string, path: string): string {
    return node === this.#node ? path : this.#relays.reach(node, path);
  }

  /** A worker of another box cannot be called any more. */
  workerEnded(node: string, path: string): void {
    this.#relays.ended(node, path);
  }

  #door(node: string): DoorPlace {
    const door = this.has(node) ? this.#doors[node] : undefined;
    if (door === undefined) throw new TwinkleError('NODE_LOST', `node ${node} has left`);
    return { ...door, key: bytesOf(door.key) };
  }

  /** Ends all streams. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#relays[Symbol.asyncDispose]();
  }
}
