/** A naive object table for comparison: it knows plain facts, and finds what lives by walking from the roots after each operation. */
import type { ObjectFacts } from '../../../src/actors/object-types.js';

export interface ModelObject {
  readonly id: string;
  owner: number;
  promisedBy: number | null;
  ending: 'sealed' | 'failed' | 'lost' | null;
  inlineBytes: number;
  refs: readonly string[];
  block: number | null;
  blockBytes: number;
  outside: 'spilled' | 'away' | null;
  watched: boolean;
  /** When it was last sealed, brought back or closed. */
  usedAt: number;
  readonly holders: Set<number>;
  readonly opens: Map<number, number>;
  readonly writers: Map<number, { readonly block: number; readonly bytes: number }>;
  readonly waiters: Map<string, number>;
}

export class ObjectModel {
  readonly objects = new Map<string, ModelObject>();
  /** Ids of watched ones that nobody keeps any more. */
  readonly over: string[] = [];
  #time = 0;

  tick(): number {
    this.#time++;
    return this.#time;
  }

  make(id: string, owner: number): ModelObject {
    const object: ModelObject = {
      id,
      owner,
      promisedBy: null,
      ending: null,
      inlineBytes: 0,
      refs: [],
      block: null,
      blockBytes: 0,
      outside: null,
      watched: false,
      usedAt: 0,
      holders: new Set(),
      opens: new Map(),
      writers: new Map(),
      waiters: new Map(),
    };
    this.objects.set(id, object);
    return object;
  }

  /** Everything that can be reached from those refs. */
  reach(refs: Iterable<string>): Set<string> {
    const seen = new Set<string>();
    const visit = (id: string): void => {
      if (seen.has(id)) return;
      seen.add(id);
      this.objects.get(id)?.refs.forEach(visit);
    };
    for (const ref of refs) visit(ref);
    return seen;
  }

  /** Forgets what no client keeps, directly or through containers. */
  sweep(): void {
    const roots = [...this.objects.values()].filter(
      ({ holders, opens, writers, waiters }) => holders.size + opens.size + writers.size + waiters.size > 0,
    );
    const alive = this.reach(roots.map(({ id }) => id));
    for (const { id, watched } of [...this.objects.values()]) {
      if (alive.has(id)) continue;
      if (watched) this.over.push(id);
      this.objects.delete(id);
    }
  }

  /** All blocks that somebody still needs. */
  blocks(): Set<number> {
    const blocks = new Set<number>();
    for (const { block, writers } of this.objects.values()) {
      if (block !== null) blocks.add(block);
      for (const written of writers.values()) blocks.add(written.block);
    }
    return blocks;
  }

  spillable(): string[] {
    return [...this.objects.values()]
      .filter(({ block, opens }) => block !== null && opens.size === 0)
      .map(({ id }) => id);
  }

  /** What `list` has to say of the object. */
  facts(object: ModelObject): ObjectFacts {
    const written = [...object.writers.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const slab = object.block !== null || (object.ending === null && object.writers.size > 0);
    const pending = object.promisedBy === null ? 'reserved' : 'promised';
    return {
      id: object.id,
      state: object.ending === null ? pending : object.ending === 'sealed' ? 'sealed' : 'failed',
      bytes: object.inlineBytes + object.blockBytes + written,
      where: object.outside ?? (slab ? 'slab' : 'inline'),
      holders: [...new Set([...object.holders, ...object.writers.keys()])].sort((a, b) => a - b),
      opens: [...object.opens.values()].reduce((sum, times) => sum + times, 0),
      waiters: object.waiters.size,
      containedIn: [...this.objects.values()].filter(({ refs }) => refs.includes(object.id)).length,
      owner: object.owner,
    };
  }
}
