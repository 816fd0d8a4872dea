/** Routers: they choose a replica for one request after the other, and remember what their choice needs. */
import { type Candidate, choosePrefixed, chooseReplica } from './choose-replica.js';
import { PrefixIndex } from './prefix-index.js';

/** A replica as routers know it. */
export interface RoutedReplica extends Candidate {
  readonly id: string;
  /** Number of its start: each begins with an empty cache. */
  readonly epoch: number;
}

/** What routers need of a request. */
export interface Routable {
  /** Choices that it occupies. */
  readonly width: number;
  /** Hashes of what its prompt begins with (prompt-blocks.ts); computed when asked. */
  beginning(): readonly number[];
}

export interface Router {
  /** Index of the replica that takes the request, which is sent there then; null: none has room. */
  choose(replicas: readonly RoutedReplica[], request: Routable): number | null;
}

/** Kinds of routers, as configurations name them. */
export type RouterKind = 'prefix' | 'least-loaded';

/** A router of that kind. */
export function newRouter(routing: RouterKind): Router {
  return routing === 'prefix' ? new PrefixRouter() : new LeastLoadedRouter();
}

/** Whichever runs least. */
export class LeastLoadedRouter implements Router {
  #last = 0;

  choose(replicas: readonly RoutedReplica[], { width }: Routable): number | null {
    const chosen = chooseReplica(replicas, width, this.#last);
    if (chosen !== null) this.#last = chosen;
    return chosen;
  }
}

/** Blocks that are remembered over all replicas of a model: some 4 MB at most. */
const INDEX_BLOCKS = 131_072;

/** Whichever has the beginning of the prompt in its cache, as far as loads allow. A single replica costs nothing. */
export class PrefixRouter implements Router {
  readonly #index: PrefixIndex;
  readonly #leastLoaded = new LeastLoadedRouter();
  #last = 0;

  /** @param blocks that are remembered at most */
  constructor(blocks = INDEX_BLOCKS) {
    this.#index = new PrefixIndex(blocks);
  }

  choose(replicas: readonly RoutedReplica[], request: Routable): number | null {
    const { width } = request;
    if (replicas.length === 1) return this.#leastLoaded.choose(replicas, request);
    // Hashed only when somebody can take it: what waits is asked about again and again.
    if (!replicas.some((replica) => replica.hasRoom(width))) return null;
    const blocks = request.beginning();
    const matched = replicas.map(({ id, epoch }) => this.#index.matched(id, epoch, blocks));
    const chosen = choosePrefixed(replicas, width, this.#last, blocks.length, matched);
    const replica = chosen === null ? undefined : replicas[chosen];
    if (chosen === null || replica === undefined) return null;
    this.#last = chosen;
    this.#index.add(replica.id, replica.epoch, blocks);
    return chosen;
  }
}
