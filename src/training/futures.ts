/**
 * Answers that are fetched later: each has an id, one owner, and whoever asks waits for it. An answer can be fetched again, for as long as it is
 * kept. Knows nothing of what is computed.
 */
import { randomBytes } from 'node:crypto';
import { TwinkleError } from '../errors.js';
import { type Recorder, UNRECORDED } from './journal/recorder.js';
import { type FutureRecord, storedAnswer, storedSample } from './journal/records.js';
import { KeptAnswers } from './kept-answers.js';
import { TenantCount } from './limits.js';
import type { FutureFailure, FutureResult, Listener, SampleRequest } from './types.js';
import { Waiters } from './waiters.js';

/** Who opened a future. */
export interface FutureOwner {
  readonly tenant: string;
  readonly session: string;
}

/** What a future is for. */
export type Purpose =
  /** A request of a run; null: to be made. */
  | { readonly run: string; readonly seqId: number | null }
  /** A request of a sampler; null: it has its answer, and what was asked for need not be kept. */
  | { readonly sampler: string; readonly seqId: bigint; readonly request: SampleRequest | null };

/** Who computes its answer. */
export interface FutureWork {
  /** Nobody wants the answer any more. */
  withdraw(): void;
  /** The future is not known any more. */
  forgotten(): void;
  /** Why nothing is done for it now; null or absent: it is under way. */
  paused?(): string | null;
}

export const NOTHING_TO_STOP: FutureWork = { withdraw() {}, forgotten() {} };

/** A future that a server before this one knew. */
export interface FormerFuture {
  readonly id: string;
  readonly owner: FutureOwner;
  readonly purpose: Purpose;
  readonly work: FutureWork;
  /** Its answer, if it has one: where that lies, and for how long it has been there. */
  readonly answered: {
    readonly answer: FutureResult | FutureFailure;
    readonly segment: number;
    readonly ageMs: number;
  } | null;
}

export interface FuturesOptions {
  nowMs(): number;
  /** How long an answer is kept after it came. */
  readonly keepMs: number;
  /** Bytes of answers that are kept; over it the oldest go first. */
  readonly keepBytes: number;
  /** Default: nothing is. */
  readonly recorder?: Recorder;
  /** Of those without an answer. Default: as many as they like. */
  readonly count?: TenantCount;
}

/** Of the bytes of answers that are kept: who has more gives its own for new ones. */
const SHARE = 1 / 2;
const BASE64 = 4 / 3;
/** Of a request and its answer, besides the answer's bytes. */
const RECORD_BYTES = 300;
const PREFIX = randomBytes(8).toString('hex');
let counter = 0;
/** Unguessable, and unique over restarts. */
const newId = (): string => `req-${PREFIX}${(counter++).toString(36)}`;

/** One of them. */
export class Future {
  /** Null: it has no answer yet. */
  answer: FutureResult | FutureFailure | null = null;
  readonly #waiters = new Waiters();

  constructor(
    readonly id: string,
    readonly owner: FutureOwner,
    public purpose: Purpose,
    private readonly settled: (future: Future) => void,
    readonly work: FutureWork,
  ) {}

  get of(): 'run' | 'sampler' {
    return 'run' in this.purpose ? 'run' : 'sampler';
  }

  /** Why nothing is done for it now; null: it is under way. */
  get paused(): string | null {
    return this.answer === null ? (this.work.paused?.() ?? null) : null;
  }

  /** Its answer came. Later ones are ignored. */
  settle(answer: FutureResult | FutureFailure): void {
    if (this.answer !== null) return;
    this.answer = answer;
    this.settled(this);
    this.#waiters.wake();
  }

  /** Nobody wants it any more: what computes it may stop. Idempotent. */
  cancel(): void {
    if (this.answer !== null) return;
    this.settle({ error: 'the request was cancelled', category: 'user' });
    this.work.withdraw();
  }

  /** Resolves when there is an answer, after `ms`, or when `listener` has gone. */
  async wait(ms: number, listener?: Listener): Promise<void> {
    if (this.answer === null) await this.#waiters.wait(ms, listener);
  }
}

export class Futures {
  readonly #all = new Map<string, Future>();
  readonly #ofSession = new Map<string, Set<Future>>();
  readonly #pending = new Set<Future>();
  readonly #kept = new KeptAnswers();
  readonly #recorder: Recorder;
  readonly #count: TenantCount;

  constructor(private readonly options: FuturesOptions) {
    this.#recorder = options.recorder ?? UNRECORDED;
    this.#count = options.count ?? new TenantCount();
  }

  /** @throws `JOURNAL_FAILED` and others: why nothing new can be promised; `OVERLOADED` for one too many */
  open(owner: FutureOwner, purpose: Purpose, work: FutureWork): Future {
    this.#recorder.checkWritable();
    this.#count.check(owner.tenant);
    const future = this.#add(newId(), owner, purpose, work);
    this.#recorder.append(recordOf(future));
    return future;
  }

  /** One that a server before this one knew. Those with answers have to come oldest first. */
  restore({ answered, id, owner, purpose, work }: FormerFuture): Future {
    const future = this.#add(id, owner, purpose, work);
    if (answered === null) return future;
    future.answer = answered.answer;
    this.#keep(future, answered.ageMs, answered.segment);
    return future;
  }

  /** Forget it, and what it may still wait for. */
  drop(future: Future): void {
    if (!this.#all.has(future.id)) return;
    this.#forget(future);
    this.#recorder.append({ kind: 'drop', id: future.id });
  }

  /** Null when it is not known, or is another tenant's. @throws `NOT_READY` while nobody can say so */
  find(id: string, tenant: string): Future | null {
    const future = this.#all.get(id);
    if (future?.owner.tenant === tenant) return future;
    this.#recorder.checkRead();
    return null;
  }

  /** What is still computed for a session ends, and all of it is forgotten. */
  endSession(session: string): void {
    for (const future of this.#ofSession.get(session) ?? []) {
      this.#all.delete(future.id); // its end is no answer to be kept
      future.cancel();
      this.#forget(future);
    }
  }

  /** Forget what is too old. To be called now and then. */
  sweep(): void {
    const now = this.options.nowMs();
    for (let first = this.#kept.oldest(); first !== null && first.untilMs <= now; first = this.#kept.oldest()) {
      this.#forget(first.future);
    }
  }

  /** Records of those without an answer. */
  *pending(): Iterable<FutureRecord> {
    for (const future of this.#pending) yield recordOf(future);
  }

  /** Whether answers that lie in that segment of the journal are kept. */
  keeps(segment: number): boolean {
    return this.#kept.in(segment);
  }

  /** Record again what is kept of that segment. */
  move(segment: number): void {
    this.#kept.move(segment, (future, untilMs) => {
      this.#recorder.append(recordOf(future));
      return this.#record(future, this.options.keepMs - (untilMs - this.options.nowMs()));
    });
  }

  /** Bytes that kept answers have on the journal, about. */
  recordedBytes(): number {
    return this.#kept.bytes * BASE64 + this.#kept.count * RECORD_BYTES;
  }

  #add(id: string, owner: FutureOwner, purpose: Purpose, work: FutureWork): Future {
    const future = new Future(id, owner, purpose, (settled) => this.#settled(settled), work);
    this.#all.set(id, future);
    this.#pending.add(future);
    this.#count.add(owner.tenant);
    const ofSession = this.#ofSession.get(owner.session);
    if (ofSession === undefined) this.#ofSession.set(owner.session, new Set([future]));
    else ofSession.add(future);
    return future;
  }

  #settled(future: Future): void {
    // One that was forgotten before is not kept.
    if (!this.#all.has(future.id)) return;
    if ('sampler' in future.purpose) future.purpose = { ...future.purpose, request: null };
    this.#keep(future, 0, this.#record(future, 0));
  }

  /** @returns where its answer lies */
  #record({ answer, id }: Future, ageMs: number): number {
    if (answer === null) throw new TwinkleError('INTERNAL', `request ${id} has no answer to record`);
    return this.#recorder.append({ kind: 'answer', id, at: Date.now() - ageMs, answer: storedAnswer(answer) });
  }

  #keep(future: Future, ageMs: number, segment: number): void {
    this.#notPending(future);
    this.#kept.add(future, { untilMs: this.options.nowMs() + this.options.keepMs - ageMs, segment });
    for (let first = this.#tooMany(future); first !== null && first !== future; first = this.#tooMany(future)) {
      this.#forget(first);
    }
  }

  /** What has to go for an answer that came: of a tenant that has much, its own. */
  #tooMany({ owner: { tenant } }: Future): Future | null {
    const { keepBytes } = this.options;
    if (this.#kept.bytes <= keepBytes) return null;
    if (this.#kept.bytesOf(tenant) > keepBytes * SHARE) return this.#kept.oldestOf(tenant);
    return this.#kept.oldest()?.future ?? null;
  }

  #notPending(future: Future): void {
    if (this.#pending.delete(future)) this.#count.add(future.owner.tenant, -1);
  }

  #forget(future: Future): void {
    this.#all.delete(future.id);
    this.#notPending(future);
    this.#kept.delete(future);
    const ofSession = this.#ofSession.get(future.owner.session);
    ofSession?.delete(future);
    if (ofSession?.size === 0) this.#ofSession.delete(future.owner.session);
    future.work.forgotten();
  }
}

function recordOf({ id, owner: { session }, purpose }: Future): FutureRecord {
  if ('run' in purpose) return { kind: 'future', id, session, purpose };
  const { request, sampler, seqId } = purpose;
  const stored = request === null ? null : storedSample(request);
  return { kind: 'future', id, session, purpose: { sampler, seqId: String(seqId), request: stored } };
}
