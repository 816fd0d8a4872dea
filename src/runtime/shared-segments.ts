/** Which ranks of one model's gangs have attached which shared segments, so that each is passed once per rank and epoch. */
import { TwinkleError } from '../errors.js';
import type { OpenReplica } from '../serving/broadcast.js';
import type { SegmentSharing } from '../serving/model-weights.js';
import type { SegmentReader, WeightStore } from '../serving/types/weights.js';
import type { Gang } from '../supervisor/gang.js';
import type { RankSession } from '../supervisor/rank-session.js';

type Member = Pick<Gang, 'spec' | 'epoch' | 'session'>;

export class SharedSegments implements SegmentSharing {
  /** Ranks that have attached a segment, by its store; those of past epochs are gone. */
  readonly #attached = new Map<WeightStore, Map<RankSession, Promise<void>>>();

  constructor(readonly gangs: readonly Member[]) {}

  async attach({ epoch, id }: OpenReplica, store: WeightStore): Promise<void> {
    const gang = this.gangs.find(({ spec }) => spec.id === id);
    if (gang?.epoch !== epoch) throw new TwinkleError('CHANNEL_CLOSED', `replica ${id} has started again meanwhile`);
    const known = this.#attached.get(store) ?? new Map<RankSession, Promise<void>>();
    this.#attached.set(store, known);
    for (const session of known.keys()) if (session.over) known.delete(session);
    await Promise.all(
      sessionsOf(gang).map((session) => {
        const shared = known.get(session) ?? store.share(readerOf(session));
        known.set(session, shared);
        // One that failed may be tried again.
        shared.catch(() => known.delete(session));
        return shared;
      }),
    );
  }

  async detach(store: WeightStore): Promise<void> {
    const known = this.#attached.get(store);
    this.#attached.delete(store);
    const live = [...(known?.keys() ?? [])].filter(({ over }) => !over);
    // A rank that cannot has gone, or keeps the pages until it does: nothing more can be done about either.
    await Promise.allSettled(live.map((session) => store.unshare(readerOf(session))));
  }
}

/** All ranks; an engine process of its own touches no weights. */
function sessionsOf(gang: Member): readonly RankSession[] {
  return Array.from({ length: gang.spec.worldSize }, (_, rank) => gang.session(rank)).filter((one) => one !== null);
}

function readerOf(session: RankSession): SegmentReader {
  return {
    rank: session.rank,
    pass: (segment, fd) => session.pass(segment, fd),
    call: (method, params) => session.channel.call(method, params),
    gone: session.gone,
  };
}
