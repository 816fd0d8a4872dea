/** The service that gateways see: sessions, what they hold, and requests whose answers are fetched later. */
import { SILENT } from '../observability/logger.js';
import type { Inference } from '../serving/types.js';
import { UNLIMITED } from './admission.js';
import { BaseModels } from './base-models.js';
import { capabilitiesOf, capacityOf } from './capabilities.js';
import { CheckpointFiles } from './checkpoint-files.js';
import { Checkpoints } from './checkpoints.js';
import { Direct } from './direct.js';
import { isFull, notSampled } from './full-runs.js';
import { Futures } from './futures.js';
import { HandOvers } from './hand-overs.js';
import { KeptTraining } from './journal/kept-training.js';
import { UNRECORDED } from './journal/recorder.js';
import { TrainingJournal } from './journal/training-journal.js';
import { DEFAULT_RULES, limitsOf, type TrainingRules, tenantCounts } from './limits.js';
import { NamedCheckpoints } from './named-checkpoints.js';
import { noAdapters } from './no-adapters.js';
import { ParkedRuns } from './parked-runs.js';
import { Residence } from './residence.js';
import type { Run } from './run.js';
import { tokensOf } from './run-answers.js';
import { RunLives } from './run-lives.js';
import { RunWatch } from './run-watch.js';
import { Runs } from './runs.js';
import { type Sampler, Samplers } from './samplers.js';
import { Sampling } from './sampling.js';
import type { SamplingHost } from './sampling-host.js';
import { Saving } from './saving.js';
import type { ServiceOptions } from './service-options.js';
import { type Session, Sessions } from './sessions.js';
import type { TrainerHost } from './trainer.js';
import type { HandOverRequest, LoadRequest, ResumeRequest, SaveRequest } from './types/checkpoints.js';
import type { TrainingWatch } from './types/progress.js';
import type {
  Capability,
  CompletionFeed,
  ComputeRequest,
  DirectTraining,
  NewRun,
  NewSampler,
  NewSession,
  PendingRequest,
  RunInfo,
  RunNote,
  SampleRequest,
  SamplerInfo,
  SampleTicket,
  SessionInfo,
  StepRequest,
  TrainingService,
} from './types.js';

/** A client asks for an answer at once; one that was cut off for a while must still find it. */
const KEEP_ANSWERS = { keepMs: 1_800_000, keepBytes: 512 << 20 };
const SWEEP_MS = 10_000;

export class LocalTrainingService implements TrainingService, Disposable {
  readonly watch: TrainingWatch;
  readonly direct: DirectTraining;
  readonly #inference: Inference;
  readonly #models: BaseModels;
  readonly #trainers: TrainerHost;
  readonly #futures: Futures;
  readonly #sessions: Sessions;
  readonly #samplers: Samplers;
  readonly #runs: Runs;
  readonly checkpoints: NamedCheckpoints;
  readonly #host: SamplingHost;
  readonly #handOvers: HandOvers;
  readonly #saving: Saving;
  readonly #sampling: Sampling;
  readonly #journal: TrainingJournal | null;
  readonly #sweeper: NodeJS.Timeout;
  readonly #rules: TrainingRules;
  #restored = false;

  constructor(options: ServiceOptions) {
    const { inference, log = SILENT, nowMs, sampling: host, trainers } = options;
    const { checkpointFolder, checkpointStore: store = null, journalFolder: folder } = options;
    const rules = { ...DEFAULT_RULES, ...options.rules };
    const counts = tenantCounts(rules);
    this.#rules = rules;
    this.#inference = inference;
    this.#models = new BaseModels(inference, trainers, options.supported);
    this.#host = host;
    this.#trainers = trainers;
    this.#journal = folder === undefined ? null : new TrainingJournal({ folder, log, nowMs });
    const recorder = this.#journal ?? UNRECORDED;
    this.#futures = new Futures({ nowMs, ...KEEP_ANSWERS, recorder, count: counts.pending });
    this.#samplers = new Samplers(recorder, counts.samplers);
    const files = new CheckpointFiles(checkpointFolder);
    const checkpoints = new Checkpoints(files, Date.now, counts.checkpointBytes);
    const named = new NamedCheckpoints({ all: checkpoints, files, store, log });
    this.checkpoints = named;
    const parked = new ParkedRuns(checkpoints);
    const residence = new Residence({ host: trainers, parked, log, nowMs }, rules);
    const { admissions = UNLIMITED } = options;
    this.#runs = new Runs(trainers, this.#futures, residence, recorder, counts.runs, rules, admissions);
    this.watch = new RunWatch(this.#runs);
    this.#saving = new Saving(this.#runs, checkpoints, named);
    const lives = new RunLives(this.#runs, checkpoints, named, log);
    const silence = { silenceMs: rules.sessionSilenceMs, ended: (session: Session) => this.#ended(session) };
    this.#sessions = new Sessions({ nowMs, ...silence, recorder, count: counts.sessions });
    const served = (baseModel: string): string => this.#models.sampled(baseModel);
    const parts = { futures: this.#futures, samplers: this.#samplers };
    const saved = { samplers: this.#samplers, runs: this.#runs, checkpoints };
    const handOvers = new HandOvers({ ...saved, host, served, now: Date.now });
    this.#handOvers = handOvers;
    const source = { inference, host, handOvers, checkpoints: named, served };
    this.#sampling = new Sampling({ ...parts, ...source, recorder, admissions });
    const heard = (session: string): void => this.#sessions.hear(session);
    this.direct = new Direct({ runs: this.#runs, heard, source, admissions, trainers });
    const { again } = this.#sampling;
    const kept = { ...parts, ...saved, sessions: this.#sessions, parked, again, keepMs: KEEP_ANSWERS.keepMs };
    this.#journal?.attach(new KeptTraining(kept));
    const sweep = (): void => {
      this.#sessions.sweep();
      this.#futures.sweep();
      named.sweep();
      handOvers.sweep();
      residence.sweep();
      this.#runs.sweepSilent(nowMs());
      lives.sweep((model) => limitsOf(trainers, model, rules).maxLifeMs);
      if (this.#restored) parked.clean((run) => this.#runs.has(run), recorder);
      void this.#journal?.sweep();
    };
    this.#sweeper = setInterval(sweep, Math.min(SWEEP_MS, rules.idleMs)).unref();
  }

  /**
   * Take up what a server before this one had in the same folder. What is wrong there is logged, and said to whom it concerns.
   * @throws `STORAGE_FAILED` when the store of checkpoints does not say which there are
   */
  async restore(): Promise<void> {
    await this.checkpoints.load();
    await this.#journal?.restore();
    this.#restored = true;
  }

  /** Nothing is recorded from now on: sessions go on in the next server as after kill -9. */
  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
    this.#sampling[Symbol.dispose]();
    this.#journal?.stop();
  }

  async close(): Promise<void> {
    this[Symbol.dispose]();
    await this.#journal?.close();
  }

  written(): Promise<void> | null {
    return this.#journal?.written() ?? null;
  }

  capabilities(): readonly Capability[] {
    return capabilitiesOf(this.#inference.models(), this.#trainers).filter(({ model }) => this.#models.allows(model));
  }

  capacity(): { readonly most: number; readonly used: number } {
    return capacityOf(this.#inference.models(), this.#trainers, this.watch.runs(), this.#rules);
  }

  createSession(tenant: string, session: NewSession): SessionInfo {
    return this.#describe(this.#sessions.create(tenant, session));
  }

  heartbeat(tenant: string, session: string): void {
    this.#sessions.get(tenant, session);
  }

  finish(tenant: string, session: string): void {
    this.#sessions.end(tenant, session);
  }

  sessions(tenant: string): readonly SessionInfo[] {
    return this.#sessions.of(tenant).map((session) => this.#describe(session));
  }

  session(tenant: string, id: string): SessionInfo {
    return this.#describe(this.#sessions.get(tenant, id));
  }

  createSampler(tenant: string, { of, seqId, session }: NewSampler): SamplerInfo {
    const owner = this.#sessions.get(tenant, session);
    const from = 'from' in of ? of.from : null;
    const trained = 'from' in of ? this.checkpoints.readable(tenant, of.from).run : null;
    if (trained !== null && isFull(trained)) throw notSampled('model_path');
    const baseModel = 'from' in of ? (trained?.baseModel ?? '') : of.baseModel;
    const model = this.#models.sampled(baseModel);
    if (from !== null && this.#host.adapts(model) === false) throw noAdapters(model);
    return infoOf(this.#samplers.create(owner, seqId, baseModel, from));
  }

  sampler(tenant: string, id: string): SamplerInfo {
    return infoOf(this.#samplers.get(tenant, id));
  }

  joinSampler(tenant: string, id: string): number {
    return this.#samplers.join(tenant, id);
  }

  sample(tenant: string, request: SampleRequest): SampleTicket {
    return this.#sampling.ask(tenant, request);
  }

  request(tenant: string, id: string): PendingRequest | null {
    const future = this.#futures.find(id, tenant);
    // Whoever waits for an answer is there, heartbeats or not.
    if (future !== null) this.#sessions.hear(future.owner.session);
    return future;
  }

  createRun(tenant: string, run: NewRun): { requestId: string; run: string } {
    const session = this.#sessions.get(tenant, run.session);
    const { created, id } = this.#runs.create(session, run, this.#models.served(run.baseModel));
    return { requestId: created.id, run: id };
  }

  run(tenant: string, id: string): RunInfo {
    return this.#describeRun(this.#runs.get(tenant, id));
  }

  runs(tenant: string): readonly RunInfo[] {
    return this.#runs.of(tenant).map((run) => this.#describeRun(run));
  }

  compute(tenant: string, request: ComputeRequest): string {
    const tokens = tokensOf(request.work);
    const check = (run: Run): void => this.#runs.admit(run, tokens);
    return this.#runs.ask(tenant, request.run, request.seqId, (run, future) => run.compute(request, future), check);
  }

  step(tenant: string, request: StepRequest): string {
    return this.#runs.ask(tenant, request.run, request.seqId, (run, future) => run.step(request, future));
  }

  save(tenant: string, request: SaveRequest): string {
    return this.#saving.save(tenant, request);
  }

  handOver(tenant: string, request: HandOverRequest): string {
    return this.#handOvers.give(tenant, request);
  }

  resume(tenant: string, request: ResumeRequest): { requestId: string; run: string } {
    const session = this.#sessions.get(tenant, request.session);
    const { created, id } = this.#saving.resume(session, request, (baseModel) => this.#models.served(baseModel));
    return { requestId: created.id, run: id };
  }

  load(tenant: string, request: LoadRequest): string {
    return this.#saving.load(tenant, request);
  }

  note(tenant: string, id: string, note: RunNote): void {
    const run = this.#runs.find(tenant, id);
    if (run !== null) this.#runs.note(run, note);
  }

  endRun(tenant: string, id: string): void {
    const run = this.#runs.find(tenant, id);
    if (run !== null) this.#runs.remove(run);
  }

  refused(tenant: string, run: string, seqId: number): void {
    this.#runs.refuse(tenant, run, seqId);
  }

  completions(...asked: Parameters<TrainingService['completions']>): CompletionFeed {
    return this.#sampling.completions(...asked);
  }

  /** Also one whose base model is not served any more. */
  #describeRun(run: Run): RunInfo {
    const { model } = run.progress.labels;
    return this.#runs.describe(run, this.#models.has(model) ? model : run.spec.baseModel);
  }

  #ended(session: Session): void {
    this.#samplers.endSession(session);
    this.#handOvers.endSession(session.id);
    this.#runs.endSession(session);
    this.#futures.endSession(session.id);
  }

  #describe(session: Session): SessionInfo {
    const { displayName, id, userMetadata } = session;
    return {
      id,
      samplers: this.#samplers.of(session).map((sampler) => sampler.id),
      runs: this.#runs.of(session.tenant).flatMap((run) => (run.session === session ? [run.id] : [])),
      userMetadata,
      displayName,
    };
  }
}

const infoOf = ({ baseModel, from, id }: Sampler): SamplerInfo => ({ id, baseModel, from });
