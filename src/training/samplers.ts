/** Sampling sessions: weights that a client samples from, its requests by their numbers, and the order in which answers came. */
import { TwinkleError } from '../errors.js';
import { type CheckpointPath, pathText } from './checkpoint-path.js';
import { Feed } from './completion-feed.js';
import type { Future } from './futures.js';
import { type Recorder, UNRECORDED } from './journal/recorder.js';
import type { SamplerRecord } from './journal/records.js';
import { TenantCount } from './limits.js';
import type { Session } from './sessions.js';

/** Numbers of one client of a sampler: clones of it begin at multiples of this. */
const CLONE_SPAN = 1_000_000_000n;

export class Sampler {
  /** Number of the request → its future. */
  readonly requests = new Map<bigint, Future>();
  /** Clients that joined. */
  clients = 0;
  readonly #feeds = new Map<number, Feed>();

  constructor(
    readonly id: string,
    readonly session: Session,
    readonly baseModel: string,
    /** What was trained of it; null: nothing. */
    readonly from: CheckpointPath | null,
    /** Where the cursors of its feeds begin. */
    private readonly firstCursor = 0,
  ) {}

  /** What one client hears of. */
  feed(clone: number): Feed {
    const known = this.#feeds.get(clone);
    if (known !== undefined) return known;
    const feed = new Feed(this.firstCursor);
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

  constructor(
    private readonly recorder: Recorder = UNRECORDED,
    private readonly count: TenantCount = new TenantCount(),
  ) {}

  /** The same number of a session again is the same sampler. @throws `INVALID_REQUEST` for one too many */
  create(session: Session, seqId: number, baseModel: string, from: CheckpointPath | null): Sampler {
    const id = `${session.id}:sample:${seqId}`;
    const known = this.#all.get(id);
    if (known !== undefined) {
      if (known.baseModel === baseModel && textOf(known.from) === textOf(from)) return known;
      throw new TwinkleError(
        'INVALID_REQUEST',
        `sampling session ${seqId} of this session samples from \`${textOf(known.from) ?? known.baseModel}\`, not from \`${textOf(from) ?? baseModel}\`: take another number`,
        { param: 'sampling_session_seq_id' },
      );
    }
    this.count.check(session.tenant);
    const sampler = this.#add(new Sampler(id, session, baseModel, from));
    this.recorder.append(recordOf(sampler));
    return sampler;
  }

  /** A number for one more client of a sampler, from 1 on. @throws `SAMPLER_NOT_FOUND` */
  join(tenant: string, id: string): number {
    const sampler = this.get(tenant, id);
    sampler.clients += 1;
    this.recorder.append(recordOf(sampler));
    return sampler.clients;
  }

  /** One that a server before this one knew. @param firstCursor beyond all that clients of that one were given */
  restore({ baseModel, clients, from, id }: SamplerRecord, session: Session, firstCursor: number): Sampler {
    const sampler = this.#add(new Sampler(id, session, baseModel, from, firstCursor));
    sampler.clients = clients;
    return sampler;
  }

  /** Records of those that are there. */
  *records(): Iterable<SamplerRecord> {
    for (const sampler of this.#all.values()) yield recordOf(sampler);
  }

  /** @throws `SAMPLER_NOT_FOUND` when it is not known, or another tenant's */
  get(tenant: string, id: string): Sampler {
    const sampler = this.find(tenant, id);
    if (sampler !== null) return sampler;
    this.recorder.checkRead();
    throw new TwinkleError(
      'SAMPLER_NOT_FOUND',
      `there is no sampling session \`${id}\` here, or its session has ended: create a sampling client again`,
      { param: 'sampling_session_id' },
    );
  }

  /** Null when it is not known, or another tenant's. */
  find(tenant: string, id: string): Sampler | null {
    const sampler = this.#all.get(id);
    return sampler?.session.tenant === tenant ? sampler : null;
  }

  of(session: Session): readonly Sampler[] {
    return [...this.#all.values()].filter((sampler) => sampler.session === session);
  }

  endSession(session: Session): void {
    for (const { id } of this.of(session)) {
      this.#all.delete(id);
      this.count.add(session.tenant, -1);
    }
  }

  #add(sampler: Sampler): Sampler {
    this.#all.set(sampler.id, sampler);
    this.count.add(sampler.session.tenant);
    return sampler;
  }
}

const textOf = (from: CheckpointPath | null): string | null => (from === null ? null : pathText(from));

function recordOf({ baseModel, clients, from, id, session }: Sampler): SamplerRecord {
  return { kind: 'sampler', id, session: session.id, baseModel, from, clients };
}
