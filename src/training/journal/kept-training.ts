/** What the service has, as the journal keeps it; and what a server before this one had, taken up again. */
import type { Checkpoints } from '../checkpoints.js';
import { failureOf } from '../failure.js';
import { FinishedSaves } from '../finished-saves.js';
import { Future, type FutureOwner, type Futures, type FutureWork, NOTHING_TO_STOP, type Purpose } from '../futures.js';
import type { ParkedRuns } from '../parked-runs.js';
import type { Runs } from '../runs.js';
import type { SampleAgain } from '../sample-again.js';
import type { Samplers } from '../samplers.js';
import type { Sessions } from '../sessions.js';
import type { FutureFailure } from '../types.js';
import { type RunRecord, type StoredPurpose, sampleOf, type TrainingRecord } from './records.js';
import type { KeptFuture, Replay } from './replay.js';
import type { Kept } from './training-journal.js';

/** More answers than a sampler gives while one server lives. */
const CURSORS_OF_A_SERVER = 1_000_000_000;

export interface KeptParts {
  readonly sessions: Sessions;
  readonly samplers: Samplers;
  readonly runs: Runs;
  readonly futures: Futures;
  readonly parked: ParkedRuns;
  readonly checkpoints: Pick<Checkpoints, 'of'>;
  readonly again: SampleAgain;
  /** How long an answer is kept after it came. */
  readonly keepMs: number;
}

export class KeptTraining implements Kept {
  #unfinished: Future[] = [];

  constructor(private readonly parts: KeptParts) {}

  *snapshot(): Iterable<TrainingRecord> {
    const { futures, runs, samplers, sessions } = this.parts;
    yield* sessions.records();
    yield* samplers.records();
    yield* runs.records();
    yield* futures.pending();
  }

  keeps(segment: number): boolean {
    return this.parts.futures.keeps(segment);
  }

  move(segment: number): void {
    this.parts.futures.move(segment);
  }

  keptBytes(): number {
    return this.parts.futures.recordedBytes();
  }

  restore(replay: Replay, segment: number): void {
    const { futures, runs, samplers, sessions } = this.parts;
    const owners = new Map([...replay.sessions].map(([id, record]) => [id, sessions.restore(record)]));
    for (const record of replay.samplers.values()) {
      const session = owners.get(record.session);
      if (session !== undefined) samplers.restore(record, session, segment * CURSORS_OF_A_SERVER);
    }
    const restored = new Map<string, Future>();
    for (const { ageMs, kept } of this.#wanted(replay)) {
      const session = owners.get(kept.record.session);
      if (session === undefined) continue;
      const owner = { tenant: session.tenant, session: session.id };
      restored.set(kept.record.id, this.#future(kept, ageMs, owner));
    }
    for (const record of replay.runs.values()) {
      const session = owners.get(record.spec.session);
      if (session === undefined) continue;
      const owner = { tenant: session.tenant, session: session.id };
      const parked = this.parts.parked.find({ id: record.id, session });
      runs.restore(record, session, restored.get(record.created) ?? forgotten(record, owner), parked);
    }
    for (const future of restored.values()) {
      // The bound of bytes may have cost some already.
      if (futures.find(future.id, future.owner.tenant) === null) continue;
      this.#link(future);
      if (future.answer === null) this.#unfinished.push(future);
    }
  }

  resume(): void {
    const saves = new FinishedSaves(this.parts.checkpoints);
    for (const future of this.#unfinished.splice(0)) {
      const { purpose } = future;
      if ('run' in purpose) {
        const why = (): FutureFailure => failureOf(this.parts.runs.interrupted(purpose.run, purpose.seqId));
        future.settle(saves.answer(purpose.run, future) ?? why());
      } else this.parts.again.begin(future);
    }
  }

  /** Those that are not too old, in the order in which they were answered; then those that were not. */
  #wanted({ futures }: Replay): readonly { readonly kept: KeptFuture; readonly ageMs: number }[] {
    const now = Date.now();
    const all = [...futures.values()].map((kept) => ({ kept, at: kept.answered?.at ?? Number.POSITIVE_INFINITY }));
    all.sort((a, b) => (a.at === b.at ? 0 : a.at - b.at));
    return all
      .map(({ at, kept }) => ({ kept, ageMs: Math.max(now - at, 0) }))
      .filter(({ ageMs }) => ageMs < this.parts.keepMs);
  }

  #future({ answered: kept, record, segment }: KeptFuture, ageMs: number, owner: FutureOwner): Future {
    const purpose = purposeOf(record.purpose);
    const answered = kept === null ? null : { answer: kept.answer, segment, ageMs };
    return this.parts.futures.restore({
      id: record.id,
      owner,
      purpose,
      work: this.#work(record.id, owner, purpose),
      answered,
    });
  }

  #work(id: string, { tenant }: FutureOwner, purpose: Purpose): FutureWork {
    if ('run' in purpose) {
      const { run, seqId } = purpose;
      return { withdraw() {}, forgotten: () => this.parts.runs.forgetRequest(run, seqId) };
    }
    return {
      withdraw: () => this.parts.again.abort(id),
      forgotten: () => {
        this.parts.again.forget(id);
        this.parts.samplers.find(tenant, purpose.sampler)?.requests.delete(purpose.seqId);
      },
    };
  }

  /** The same number is the same request again. */
  #link(future: Future): void {
    const { owner, purpose } = future;
    if ('run' in purpose) {
      this.parts.runs.restoreRequest(purpose.run, purpose.seqId, future);
      return;
    }
    const sampler = this.parts.samplers.find(owner.tenant, purpose.sampler);
    sampler?.requests.set(purpose.seqId, future);
    if (future.answer !== null) sampler?.answered(purpose.seqId, future);
  }
}

function purposeOf(stored: StoredPurpose): Purpose {
  if ('run' in stored) return stored;
  const { request, sampler, seqId } = stored;
  return { sampler, seqId: BigInt(seqId), request: request === null ? null : sampleOf(request) };
}

/** The request that made a run, of which only the id is known. */
function forgotten({ created, id }: RunRecord, owner: FutureOwner): Future {
  return new Future(created, owner, { run: id, seqId: null }, () => {}, NOTHING_TO_STOP);
}
