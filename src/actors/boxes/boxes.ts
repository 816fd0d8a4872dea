/** The other boxes of a head: their agents join here. Knows which is which; what one says is its `FarBox`'s business. */
import { TwinkleError } from '../../errors.js';
import type { Logger } from '../../observability/logger.js';
import { draw } from '../../transport/door-draw.js';
import { type Knocked, knock } from '../../transport/door-knock.js';
import type { DoorPlace } from '../../transport/door-reach.js';
import type { NodeService } from '../node-service.js';
import { boxHello, bytesOf } from './box-methods.js';
import { FarBox } from './far-box.js';
import { fetchInto } from './fetch.js';
import { Relays } from './relays.js';
import {
  type BoxWelcome,
  type DoorAddress,
  type HeadAsks,
  type HeadTells,
  type Link,
  MOST_STAYS,
  NUMBERS,
} from './words.js';

export interface BoxesOptions {
  readonly service: NodeService;
  /** Id of the head's node. */
  readonly node: string;
  readonly instance: string;
  readonly inlineBytes: number;
  /** Of the head. */
  readonly door: DoorAddress;
  /** 0700; sockets that stand for workers of other boxes. */
  readonly socketFolder: string;
  readonly log: Logger;
}

interface Joined {
  readonly box: FarBox;
  readonly door: DoorAddress;
}

export class Boxes implements AsyncDisposable {
  readonly #options: BoxesOptions;
  readonly #joined = new Map<string, Joined>();
  /** First client number of who was welcomed last, by node. */
  readonly #numbers = new Map<string, number>();
  readonly #relays: Relays;
  #stays = 0;

  constructor(options: BoxesOptions) {
    this.#options = options;
    const { socketFolder, log } = options;
    this.#relays = new Relays({
      ...{ folder: socketFolder, log },
      knock: async (node, want) => (await this.knock(node, want)).stream,
      broken: (node, path, why) => options.service.broken(node, path, why),
    });
    options.service.objects.onEnded((id, nodes) => {
      for (const node of nodes) this.#joined.get(node)?.box.drop(id);
    });
  }

  // ---- for the head's service: see `OtherBoxes` ----

  reach(node: string, path: string): string {
    return this.#relays.reach(node, path);
  }

  jobEnded(driver: number): void {
    for (const { box } of this.#joined.values()) box.cast('work.job-ended', { driver });
  }

  workerEnded(path: string): void {
    this.#workerEnded(this.#options.node, path);
  }

  // ---- for the cluster's head: see `AgentTalk` ----

  /** @throws `OVERLOADED`, and what {@link boxHello} throws */
  welcome(node: string, talk: unknown): BoxWelcome {
    boxHello(talk);
    const { instance, inlineBytes, node: head } = this.#options;
    if (this.#stays === MOST_STAYS) {
      throw new TwinkleError(
        'OVERLOADED',
        `boxes have joined this head ${MOST_STAYS} times, and it can count no further: start it again`,
      );
    }
    this.#stays += 1;
    const first = this.#stays * NUMBERS;
    this.#numbers.set(node, first);
    return { head, first, numbers: NUMBERS, instance, inlineBytes, doors: this.#doors() };
  }

  joined(node: string, talk: unknown, link: Link<HeadAsks, HeadTells>): void {
    const { service } = this.#options;
    const { door } = boxHello(talk);
    const box = new FarBox({
      ...{ node, link, host: service, head: this.#options.node, first: this.#numbers.get(node) ?? 0 },
      workerEnded: (at, path) => this.#workerEnded(at, path),
      read: (at, id, to, signal) =>
        fetchInto(async (want, begin, end) => draw(this.#place(at), want, begin, end), { t: 'object', id }, to, signal),
    });
    this.#joined.get(node)?.box.left('its agent joined again');
    this.#joined.set(node, { box, door });
    service.workplaces.add(box);
    this.#tellDoors();
  }

  call(node: string, method: string, params: unknown): unknown {
    return this.#box(node).answer(method, params);
  }

  cast(node: string, method: string, params: unknown): void {
    this.#box(node).heard(method, params);
  }

  left(node: string, why: string): void {
    const found = this.#joined.get(node);
    if (found === undefined) return;
    this.#joined.delete(node);
    this.#options.service.workplaces.remove(found.box);
    this.#relays.gone(node);
    found.box.left(why);
    this.#tellDoors();
  }

  /** A stream to another box. Throws `NODE_LOST`, and what `knock` throws. */
  async knock(node: string, want: object, signal?: AbortSignal): Promise<Knocked> {
    return await knock(this.#place(node), want, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of [...this.#joined.keys()]) this.left(node, 'the head ends');
    await this.#relays[Symbol.asyncDispose]();
  }

  /** Throws `NODE_LOST`. */
  #place(node: string): DoorPlace {
    const door = this.#joined.get(node)?.door;
    if (door === undefined) throw new TwinkleError('NODE_LOST', `node ${node} has left`);
    return { ...door, key: bytesOf(door.key) };
  }

  #box(node: string): FarBox {
    const found = this.#joined.get(node);
    if (found === undefined) throw new TwinkleError('PROTOCOL', `node ${node} has not joined`);
    return found.box;
  }

  /** Whoever could call it hears that it cannot any more. */
  #workerEnded(at: string, path: string): void {
    this.#relays.ended(at, path);
    for (const [node, { box }] of this.#joined) if (node !== at) box.cast('work.worker-ended', { node: at, path });
  }

  #doors(): Record<string, DoorAddress> {
    const { node, door } = this.#options;
    const others = Array.from(this.#joined, ([other, { door: theirs }]) => [other, theirs] as const);
    return Object.fromEntries([[node, door], ...others]);
  }

  #tellDoors(): void {
    const doors = this.#doors();
    for (const { box } of this.#joined.values()) box.cast('work.doors', { doors });
  }
}
