/** The service that gateways see: sessions, what they hold, and requests whose answers are fetched later. */
import { type Logger, SILENT } from '../observability/logger.js';
import type { Inference } from '../serving/types.js';
import { BaseModels } from './base-models.js';
import { capabilitiesOf } from './capabilities.js';
import { CheckpointFiles } from './checkpoint-files.js';
import type { CheckpointStore } from './checkpoint-store.js';
import { Checkpoints } from './checkpoints.js';
import { isFull, notSampled } from './full-runs.js';
import { Futures } from './futures.js';
import { HandOvers } from './hand-overs.js';
import { KeptTraining } from './journal/kept-training.js';
import { UNRECORDED } from './journal/recorder.js';
import { TrainingJournal } from './journal/training-journal.js';
import { DEFAULT_RULES, type TrainingRules, tenantCounts } from './limits.js';
import { NamedCheckpoints } from './named-checkpoints.js';
import { noAdapters } from './no-adapters.js';
import { ParkedRuns } from './parked-runs.js';
import { Residence } from './residence.js';
import type { Run } from './run.js';
import { RunLives } from './run-lives.js';
import { RunWatch } from './run-watch.js';
import { Runs } from './runs.js';
import { type Sampler, Samplers } from './samplers.js';
import { Sampling } from './sampling.js';
import type { SamplingHost } from './sampling-host.js';
import { Saving } from './saving.js';
import { type Session, Sessions } from './sessions.js';
import type { TrainerHost } from './trainer.js';
import type { HandOverRequest, LoadRequest, ResumeRequest, SaveRequest } from './types/checkpoints.js';
import type { TrainingWatch } from './types/progress.js';
import type {
  Capability,
  CompletionFeed,
  ComputeRequest,
  NewRun,
  NewSampler,
  NewSession,
  PendingRequest,
  RunInfo,
  SampleRequest,
  SamplerInfo,
  SampleTicket,
  SessionInfo,
  StepRequest,
  TrainingService,
} from './types.js';

/** A client that is silent for so long is gone: it would be heard every 10 s. */
const SESSION_SILENCE_MS = 300_000;
/** A client asks for an answer at once; one that was cut off for a while must still find it. */
const KEEP_ANSWERS = { keepMs: 1_800_000, keepBytes: 512 << 20 };
const SWEEP_MS = 10_000;

export interface ServiceOptions {
  readonly inference: Inference;
  readonly trainers: TrainerHost;
  readonly sampling: SamplingHost;
  /** Made with the first save. */
  readonly checkpointFolder: string;
  /** Where those that clients can name are kept. Default: in the folder alone. */
  readonly checkpointStore?: CheckpointStore | null;
  /** Made with the first session. Default: nothing but checkpoints outlives the process. */
  readonly journalFolder?: string;
  /** Default: {@link DEFAULT_RULES}. */
  readonly rules?: Partial<TrainingRules>;
  /** Default: says nothing. */
  readonly log?: Logger;
  nowMs(): number;
}

export class LocalTrainingService implements TrainingService, Disposable {
  readonly watch: TrainingWatch;
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
  readonly #maxRuns: number;
  #restored = false;

  constructor(options: ServiceOptions) {
    const { inference, log = SILENT, nowMs, sampling: host, trainers } = options;
    const { checkpointFolder, checkpointStore: store = null, journalFolder: folder } = options;
    const rules = { ...DEFAULT_RULES, ...options.rules };
    const counts = tenantCounts(rules);
    this.#maxRuns = rules.maxRuns;
    this.#inference = inference;
    this.#models = new BaseModels(inference, trainers);
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
    this.#runs = new Runs(trainers, this.#futures, residence, recorder, counts.runs, rules);
    this.watch = new RunWatch(this.#runs);
    this.#saving = new Saving(this.#runs, checkpoints, named);
    const lives = new RunLives(this.#runs, checkpoints, named, log);
    const ended = (session: Session): void => this.#ended(session);
    this.#sessions = new Sessions({ nowMs, silenceMs: SESSION_SILENCE_MS, ended, recorder, count: counts.sessions });
    const served = (baseModel: string): string => this.#models.served(baseModel);
    const parts = { futures: this.#futures, samplers: this.#samplers };
    const saved = { samplers: this.#samplers, runs: this.#runs, checkpoints };
    const handOvers = new HandOvers({ ...saved, host, served, now: Date.now });
    this.#handOvers = handOvers;
    this.#sampling = new Sampling({ ...parts, inference, host, handOvers, checkpoints: named, recorder, served });
    const { again } = this.#sampling;
    const kept = { ...parts, ...saved, sessions: this.#sessions, parked, again, keepMs: KEEP_ANSWERS.keepMs };
    this.#journal?.attach(new KeptTraining(kept));
    const sweep = (): void => {
      this.#sessions.sweep();
      this.#futures.sweep();
      named.sweep();
      handOvers.sweep();
      residence.sweep();
      if (rules.maxLifeMs !== null) lives.sweep(rules.maxLifeMs);
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
    return capabilitiesOf(this.#inference.models(), this.#trainers);
  }

  capacity(): { readonly most: number; readonly used: number } {
    const models = this.#inference.models().filter(({ names }) => this.#trainers.trains(names[0] ?? '')).length;
    const resident = this.watch.runs().filter(({ state }) => state === 'starting' || state === 'ready');
    return { most: models * this.#maxRuns, used: resident.length };
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
    const model = this.#models.served(baseModel);
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
    return this.#runs.ask(tenant, request.run, request.seqId, (run, future) => run.compute(request, future));
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

  refused(tenant: string, run: string, seqId: number): void {
    this.#runs.refuse(tenant, run, seqId);
  }

  completions(
    tenant: string,
    sampler: string,
    clone: number,
    after: number,
    retrieved: readonly string[],
  ): CompletionFeed {
    return this.#sampling.completions(tenant, sampler, clone, after, retrieved);
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
