/** Sampling sessions: weights that a client samples from, its requests by their numbers, and the order in which answers came. */
import { TwinkleError } from '../errors.js';
import { Feed } from './completion-feed.js';
import type { Future } from './futures.js';
import type { Session } from './sessions.js';

/** Numbers of one client of a sampler: clones of it begin at multiples of this. */
const CLONE_SPAN = 1_000_000_000n;

export class Sampler {
  /** Number of the request → its future. */
  readonly requests = new Map<bigint, Future>();
  #clients = 0;
  readonly #feeds = new Map<number, Feed>();

  constructor(
    readonly id: string,
    readonly session: Session,
    readonly baseModel: string,
  ) {}

  /** A number for one more client, from 1 on. */
  join(): number {
    this.#clients += 1;
    return this.#clients;
  }

  /** What one client hears of. */
  feed(clone: number): Feed {
    const known = this.#feeds.get(clone);
    if (known !== undefined) return known;
    const feed = new Feed();
    this.#feeds.set(clone, feed);
    return feed;
  }

  /** The answer of one of its requests came. */
  answered(seqId: bigint, { answer, id }: Future): void {
    const size = answer !== null && 'bytes' in answer ? answer.bytes.byteLength : null;
    this.feed(Number(seqId / CLONE_SPAN)).add({ requestId: id, size });
  }
}

export class Samplers {
  readonly #all = new Map<string, Sampler>();

  /** The same number of a session again is the same sampler. */
  create(session: Session, seqId: number, baseModel: string): Sampler {
    const id = `${session.id}:sample:${seqId}`;
    const known = this.#all.get(id);
    if (known !== undefined) {
      if (known.baseModel === baseModel) return known;
      throw new TwinkleError(
        'INVALID_REQUEST',
        `sampling session ${seqId} of this session samples from \`${known.baseModel}\`, not from \`${baseModel}\`: take another number`,
        { param: 'sampling_session_seq_id' },
      );
    }
    const sampler = new Sampler(id, session, baseModel);
    this.#all.set(id, sampler);
    return sampler;
  }

  /** @throws `SAMPLER_NOT_FOUND` when it is not known, or another tenant's */
  get(tenant: string, id: string): Sampler {
    const sampler = this.#all.get(id);
    if (sampler?.session.tenant === tenant) return sampler;
    throw new TwinkleError(
      'SAMPLER_NOT_FOUND',
      `there is no sampling session \`${id}\` here, or its session has ended: create a sampling client again`,
      { param: 'sampling_session_id' },
    );
  }

  of(session: Session): readonly Sampler[] {
    return [...this.#all.values()].filter((sampler) => sampler.session === session);
  }

  endSession(session: Session): void {
    for (const { id } of this.of(session)) this.#all.delete(id);
  }
}
