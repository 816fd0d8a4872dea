/** The runs of all sessions: made, found, lost with their ranks or the server, dropped with their sessions. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import { Emitter } from '../util/emitter.js';
import { type Admissions, UNLIMITED } from './admission.js';
import { failureOf } from './failure.js';
import { checkFull, type FullRules } from './full-runs.js';
import { type Future, type FutureOwner, type Futures, NOTHING_TO_STOP } from './futures.js';
import { type Recorder, UNRECORDED } from './journal/recorder.js';
import type { RunRecord } from './journal/records.js';
import { DEFAULT_RULES, TenantCount } from './limits.js';
import type { Residence } from './residence.js';
import { Run } from './run.js';
import { jsonAnswer } from './run-answers.js';
import { lostWith, lostWithRanks } from './run-failures.js';
import { RunProgress } from './run-progress.js';
import { beginRun, type Start } from './run-start.js';
import type { Session } from './sessions.js';
import type { TrainerHost } from './trainer.js';
import type { Checkpoint } from './types/checkpoints.js';
import type { TrainingEvents } from './types/progress.js';
import type { NewRun, RunInfo, RunNote } from './types.js';

/** What a server before this one has left of a run; null: nothing. */
type Parked = Pick<Checkpoint, 'next' | 'lastRequest' | 'gradientDropped' | 'progress'> | null;

export class Runs {
  /** What becomes of their requests. */
  readonly events = new Emitter<TrainingEvents>();
  readonly #all = new Map<string, Run>();

  constructor(
    private readonly host: TrainerHost,
    private readonly futures: Futures,
    private readonly residence: Residence,
    private readonly recorder: Recorder = UNRECORDED,
    private readonly count: TenantCount = new TenantCount(),
    private readonly rules: FullRules = DEFAULT_RULES,
    private readonly admissions: Pick<Admissions, 'training'> = UNLIMITED,
  ) {}

  /**
   * @param model served name of the base model
   * @param from what it goes on from; null: it is new
   * @throws `UNSUPPORTED_PARAMETER` for a model that cannot be trained, or never sampled from with that spec, `INVALID_REQUEST` for a number that another run has, or
   *   one run too many; as `checkFull`
   */
  create(session: Session, spec: NewRun, model: string, from: Start | null = null): Run {
    const id = `${session.id}:train:${spec.seqId}`;
    const known = this.#all.get(id);
    if (known !== undefined) {
      if (known.spec.baseModel === spec.baseModel && known.spec.rank === spec.rank) return known;
      throw new TwinkleError('INVALID_REQUEST', `run \`${id}\` exists, and is another one: take another number`, {
        param: 'model_seq_id',
      });
    }
    if (!this.host.trains(model)) {
      throw new TwinkleError(
        'UNSUPPORTED_PARAMETER',
        `model \`${model}\` cannot be trained here: only models of engine transformers are, and of vllm with --enable-lora`,
        { param: 'base_model' },
      );
    }
    this.host.checkRun(model, spec);
    const full = this.host.limits?.(model)?.full ?? this.rules.full;
    checkFull(spec, model, this.#present(model), { ...this.rules, full });
    this.count.check(session.tenant);
    const work = { ...NOTHING_TO_STOP, paused: () => this.#paused(id) };
    const future = this.futures.open(ownerOf(session), { run: id, seqId: null }, work);
    const progress = new RunProgress({ run: id, model }, this.events);
    const timeouts = this.admissions.training(model)?.limits;
    const run = new Run(id, session, spec, future, progress, this.residence, null, timeouts);
    this.#add(run);
    void this.#make(run, from);
    return run;
  }

  /** A run that a server before this one made. @param parked what there is of it; null: it has lost its weights */
  restore({ id, lastRequest, model, note, spec }: RunRecord, session: Session, created: Future, parked: Parked): void {
    const progress = new RunProgress({ run: id, model }, this.events, undefined, parked?.progress);
    const timeouts = this.admissions.training(model)?.limits;
    const run = new Run(id, session, spec, created, progress, this.residence, parked?.next ?? 1, timeouts);
    run.lastRequest = parked?.lastRequest ?? lastRequest;
    run.gradientDropped = parked?.gradientDropped ?? false;
    run.note = note ?? null;
    if (parked === null) run.lose(lostWithServer(id));
    this.#add(run);
  }

  /** A request of such a run. Of a run that never was made there is nothing to remember. */
  restoreRequest(id: string, seqId: number | null, future: Future): void {
    const run = this.#all.get(id);
    if (seqId === null || run === undefined) return;
    run.requests.set(seqId, future);
    // It was not done, and will not be: those behind it need not wait.
    if (run.loss === null) run.refuse(seqId);
  }

  /** Why a request that such a run had not answered has no answer. */
  interrupted(id: string, seqId: number | null): TwinkleError {
    const run = this.#all.get(id);
    if (seqId === null || run === undefined || run.loss !== null) return lostWithServer(id);
    const done = seqId < (run.resumedAt ?? 1) ? 'was done, and its answer is lost' : 'was not done: ask again';
    return new TwinkleError('RANK_FAILED', `the server was started again: request ${seqId} of run \`${id}\` ${done}`);
  }

  /** The answer of such a request is not kept any more. */
  forgetRequest(id: string, seqId: number | null): void {
    if (seqId !== null) this.#all.get(id)?.requests.delete(seqId);
  }

  /** Records of those that were made. */
  *records(): Iterable<RunRecord> {
    for (const run of this.#all.values()) if (run.made) yield recordOf(run);
  }

  /** @throws `RUN_NOT_FOUND` when it is not known, or another tenant's */
  get(tenant: string, id: string): Run {
    const run = this.#all.get(id);
    if (run?.session.tenant === tenant) {
      this.#look(run);
      return run;
    }
    this.recorder.checkRead();
    throw new TwinkleError('RUN_NOT_FOUND', `there is no training run \`${id}\` here, or its session has ended`, {
      param: 'model_id',
    });
  }

  /** Null: it is not known, or another tenant's. */
  find(tenant: string, id: string): Run | null {
    const run = this.#all.get(id);
    return run?.session.tenant === tenant ? run : null;
  }

  /** A number of it is used up. Unknown runs are fine. */
  refuse(tenant: string, id: string, seqId: number): void {
    this.find(tenant, id)?.refuse(seqId);
  }

  has(id: string): boolean {
    return this.#all.has(id);
  }

  /** Of all tenants, oldest first. */
  all(): Iterable<Run> {
    return this.#all.values();
  }

  of(tenant: string): readonly Run[] {
    return [...this.#all.values()].filter(({ session }) => session.tenant === tenant);
  }

  describe(run: Run, model: string): RunInfo {
    this.#look(run);
    return {
      ...run.spec,
      id: run.id,
      folder: this.host.folder(model),
      corrupted: run.loss !== null,
      lastRequest: run.lastRequest,
      next: run.next,
      note: run.note,
    };
  }

  /** What its client's API keeps with it, in place of what it kept before. */
  note(run: Run, note: RunNote): void {
    run.note = note;
    if (run.made && this.#all.get(run.id) === run) this.recorder.append(recordOf(run));
  }

  /** Count a request in. @param tokens of its input @throws as {@link Admission.admit} */
  admit({ progress, session }: Run, tokens: number): void {
    this.admissions.training(progress.labels.model)?.admit(session.tenant, tokens);
  }

  /**
   * @param check of a new one
   * @returns the id of the request of that number, which `begin` begins if it is new
   */
  ask(
    tenant: string,
    id: string,
    seqId: number,
    begin: (run: Run, future: Future) => void,
    check: (run: Run) => void = () => {},
  ): string {
    const run = this.get(tenant, id);
    const known = run.requests.get(seqId);
    if (known !== undefined) return known.id;
    if (run.has(seqId)) {
      throw new TwinkleError('FUTURE_EXPIRED', `request ${seqId} of this run was answered, and its answer is gone`, {
        param: 'seq_id',
      });
    }
    check(run);
    const work = { withdraw() {}, forgotten: () => run.requests.delete(seqId), paused: () => this.#paused(id) };
    const future = this.futures.open(ownerOf(run.session), { run: id, seqId }, work);
    run.requests.set(seqId, future);
    begin(run, future);
    return future.id;
  }

  endSession(session: Session): void {
    for (const run of this.#all.values()) {
      if (run.session !== session) continue;
      this.#remove(run);
      this.end(run, new TwinkleError('RUN_NOT_FOUND', `the session of run \`${run.id}\` has ended`));
    }
  }

  /** It is not wanted any more. @param why for what waits */
  remove(run: Run, why = 'has ended'): void {
    this.#remove(run);
    this.recorder.append({ kind: 'ended-run', run: run.id });
    this.end(run, new TwinkleError('RUN_NOT_FOUND', `run \`${run.id}\` ${why}`));
  }

  /** End those whose sessions have been silent for longer than their models allow. To be called now and then. */
  sweepSilent(nowMs: number): void {
    for (const run of this.#all.values()) {
      const silenceMs = this.host.limits?.(run.progress.labels.model)?.silenceMs;
      if (silenceMs === undefined || nowMs - run.session.heardMs <= silenceMs) continue;
      this.remove(run, `has ended: nothing was heard of its session for ${silenceMs / 1000} s`);
    }
  }

  /** Nothing more is done for it. */
  end(run: Run, why: TwinkleError): void {
    run.lose(why);
    this.residence.end(run);
  }

  async #make(run: Run, from: Start | null): Promise<void> {
    try {
      await from?.bring();
      await this.residence.make(run, (trainer) => beginRun(trainer, run, from));
      if (this.#all.get(run.id) === run) this.recorder.append(recordOf(run));
      run.created.settle(jsonAnswer({ model_id: run.id, type: from === null ? 'create_model' : 'load_weights' }));
    } catch (thrown) {
      const error = asTwinkleError(thrown);
      this.#remove(run); // it never was
      run.lose(error);
      run.created.settle(failureOf(error));
    }
  }

  #add(run: Run): void {
    this.#all.set(run.id, run);
    this.count.add(run.session.tenant);
  }

  #remove(run: Run): void {
    if (this.#all.get(run.id) !== run) return;
    this.#all.delete(run.id);
    this.count.add(run.session.tenant, -1);
  }

  /** Specs of those of a model that are not parked. */
  *#present(model: string): Iterable<NewRun> {
    for (const run of this.#all.values()) {
      if (run.progress.labels.model !== model) continue;
      this.#look(run);
      if (run.loss === null && (run.state !== 'parked' || this.residence.has(run))) yield run.spec;
    }
  }

  #paused(id: string): string | null {
    const run = this.#all.get(id);
    return run === undefined ? null : this.residence.paused(run);
  }

  #look(run: Run): void {
    if (run.trainer?.gone === true) run.lose(lostWithRanks(run.id));
  }
}

const ownerOf = ({ id, tenant }: Session): FutureOwner => ({ tenant, session: id });

function recordOf({ created, id, lastRequest, note, progress, spec }: Run): RunRecord {
  const kept = note === null ? {} : { note };
  return { kind: 'run', id, spec, model: progress.labels.model, created: created.id, lastRequest, ...kept };
}

/** Why nothing of a run that another server began can go on. */
function lostWithServer(run: string): TwinkleError {
  return lostWith(run, new TwinkleError('RANK_FAILED', 'the server was started again'));
}
