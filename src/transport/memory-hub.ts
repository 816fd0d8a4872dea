/** The hub without sockets: links whose other end is an object in this process. For embedding, tests, and our own agent. */
import type { FromRank, ToRank } from '../protocol/frames.js';
import type { Hub, Link } from './link.js';

/** The rank's end of a memory link. */
export interface MemoryPeer {
  send(frame: FromRank): void;
  receive(listener: (frame: ToRank) => void): void;
}

class Pipe<T> {
  #listener: ((frame: T) => void) | null = null;
  readonly #queue: T[] = [];
  #scheduled = false;
  closed = false;

  listen(listener: (frame: T) => void): void {
    this.#listener = listener;
    this.#schedule();
  }

  push(frame: T): void {
    // A structured clone, so that no two sides share an object: what works in memory works over a socket.
    this.#queue.push(structuredClone(frame));
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || this.#listener === null) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      for (const frame of this.#queue.splice(0)) if (!this.closed) this.#listener?.(frame);
    });
  }
}

class MemoryLink implements Link {
  readonly toRank = new Pipe<ToRank>();
  readonly fromRank = new Pipe<FromRank>();

  send(frame: ToRank): void {
    if (!this.fromRank.closed) this.toRank.push(frame);
  }

  receive(listener: (frame: FromRank) => void): void {
    this.fromRank.listen(listener);
  }

  close(): void {
    this.fromRank.closed = true;
    this.toRank.closed = true;
  }
}

/** A hub in memory; ranks in the same process join by {@link MemoryHub.join}. */
export class MemoryHub implements Hub {
  readonly endpoint = 'memory://';
  strangers = 0;
  readonly #links = new Map<string, MemoryLink>();

  credentials(): null {
    return null;
  }

  link(identity: string): Link {
    return this.#at(identity);
  }

  /** The other end of `link(identity)`. */
  join(identity: string): MemoryPeer {
    const link = this.#at(identity);
    return { send: (frame) => link.fromRank.push(frame), receive: (listener) => link.toRank.listen(listener) };
  }

  #at(identity: string): MemoryLink {
    const known = this.#links.get(identity) ?? new MemoryLink();
    this.#links.set(identity, known);
    return known;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}
