/** The service that gateways see: sessions, what they hold, and requests whose answers are fetched later. */
import type { Inference } from '../serving/types.js';
import { CheckpointFiles } from './checkpoint-files.js';
import type { CheckpointPath } from './checkpoint-path.js';
import { Checkpoints } from './checkpoints.js';
import { type Future, Futures } from './futures.js';
import { Runs } from './runs.js';
import { SampleRun } from './sample-run.js';
import { type Sampler, Samplers } from './samplers.js';
import { Saving } from './saving.js';
import { type Session, Sessions } from './sessions.js';
import type { TrainerHost } from './trainer.js';
import type {
  Capability,
  Checkpoint,
  CompletionFeed,
  ComputeRequest,
  LoadRequest,
  NewRun,
  NewSampler,
  NewSession,
  PendingRequest,
  ResumeRequest,
  RunInfo,
  SampleRequest,
  SamplerInfo,
  SampleTicket,
  SaveRequest,
  SessionInfo,
  StepRequest,
  TrainingService,
} from './types.js';

/** A client that is silent for so long is gone: it would be heard every 10 s. */
const SESSION_SILENCE_MS = 300_000;
/** A client asks for an answer at once; one that was cut off for a while must still find it. */
const KEEP_ANSWERS_MS = 1_800_000;
const KEEP_ANSWERS_BYTES = 512 << 20;
const SWEEP_MS = 10_000;

export interface ServiceOptions {
  readonly inference: Inference;
  readonly trainers: TrainerHost;
  /** Made with the first save. */
  readonly checkpointFolder: string;
  nowMs(): number;
}

export class LocalTrainingService implements TrainingService, Disposable {
  readonly #inference: Inference;
  readonly #trainers: TrainerHost;
  readonly #futures: Futures;
  readonly #sessions: Sessions;
  readonly #samplers = new Samplers();
  readonly #runs: Runs;
  readonly #checkpoints: Checkpoints;
  readonly #saving: Saving;
  readonly #sweeper: NodeJS.Timeout;

  constructor({ checkpointFolder, inference, nowMs, trainers }: ServiceOptions) {
    this.#inference = inference;
    this.#trainers = trainers;
    this.#futures = new Futures({ nowMs, keepMs: KEEP_ANSWERS_MS, keepBytes: KEEP_ANSWERS_BYTES });
    this.#runs = new Runs(trainers, this.#futures);
    this.#checkpoints = new Checkpoints(new CheckpointFiles(checkpointFolder), Date.now);
    this.#saving = new Saving(this.#runs, this.#checkpoints);
    this.#sessions = new Sessions({ nowMs, silenceMs: SESSION_SILENCE_MS, ended: (session) => this.#ended(session) });
    this.#sweeper = setInterval(() => {
      this.#sessions.sweep();
      this.#futures.sweep();
      this.#checkpoints.sweep();
    }, SWEEP_MS).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
  }

  capabilities(): readonly Capability[] {
    return this.#inference.models().flatMap(({ card, names }) =>
      card === null
        ? []
        : names.map((model) => ({
            model,
            maxContextLength: card.max_model_len,
            trainable: this.#trainers.trains(names[0] ?? ''),
          })),
    );
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

  createSampler(tenant: string, { baseModel, seqId, session }: NewSampler): SamplerInfo {
    const owner = this.#sessions.get(tenant, session);
    this.#served(baseModel);
    return infoOf(this.#samplers.create(owner, seqId, baseModel));
  }

  sampler(tenant: string, id: string): SamplerInfo {
    return infoOf(this.#samplers.get(tenant, id));
  }

  joinSampler(tenant: string, id: string): number {
    return this.#samplers.get(tenant, id).join();
  }

  sample(tenant: string, request: SampleRequest): SampleTicket {
    const sampler = this.#samplers.get(tenant, request.sampler);
    const { seqId } = request;
    const known = sampler.requests.get(seqId);
    if (known !== undefined) return ticketOf(known, request);
    const owner = { tenant, session: sampler.session.id };
    const future = this.#futures.open(owner, {
      withdraw: () => run.abort(),
      forgotten: () => sampler.requests.delete(seqId),
    });
    const run = new SampleRun(this.#inference, this.#served(sampler.baseModel), request, { tenant }, (answer) => {
      future.settle(answer);
      sampler.answered(seqId, future);
    });
    try {
      run.start();
    } catch (error) {
      this.#futures.drop(future);
      throw error;
    }
    sampler.requests.set(seqId, future);
    return ticketOf(future, request);
  }

  request(tenant: string, id: string): PendingRequest | null {
    const future = this.#futures.find(id, tenant);
    // Whoever waits for an answer is there, heartbeats or not.
    if (future !== null) this.#sessions.hear(future.owner.session);
    return future;
  }

  createRun(tenant: string, run: NewRun): { requestId: string; run: string } {
    const session = this.#sessions.get(tenant, run.session);
    const { created, id } = this.#runs.create(session, run, this.#served(run.baseModel));
    return { requestId: created.id, run: id };
  }

  run(tenant: string, id: string): RunInfo {
    const run = this.#runs.get(tenant, id);
    return this.#runs.describe(run, this.#served(run.spec.baseModel));
  }

  runs(tenant: string): readonly RunInfo[] {
    return this.#runs.of(tenant).map((run) => this.#runs.describe(run, this.#served(run.spec.baseModel)));
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

  resume(tenant: string, request: ResumeRequest): { requestId: string; run: string } {
    const session = this.#sessions.get(tenant, request.session);
    const checkpoint = this.#checkpoints.readable(tenant, request.from);
    const { created, id } = this.#saving.resume(session, request, this.#served(checkpoint.run.baseModel));
    return { requestId: created.id, run: id };
  }

  load(tenant: string, request: LoadRequest): string {
    return this.#saving.load(tenant, request);
  }

  checkpoints(tenant: string): readonly Checkpoint[] {
    return this.#checkpoints.of(tenant);
  }

  checkpoint(tenant: string, path: CheckpointPath): Checkpoint {
    return this.#checkpoints.readable(tenant, path);
  }

  removeCheckpoint(tenant: string, path: CheckpointPath): void {
    this.#checkpoints.remove(tenant, path);
  }

  publishCheckpoint(tenant: string, path: CheckpointPath, isPublic: boolean): void {
    this.#checkpoints.publish(tenant, path, isPublic);
  }

  keepCheckpoint(tenant: string, path: CheckpointPath, seconds: number | null): void {
    this.#checkpoints.keepFor(tenant, path, seconds);
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
    const feed = this.#samplers.get(tenant, sampler).feed(clone);
    for (const id of retrieved) {
      const future = this.#futures.find(id, tenant);
      if (future !== null && future.answer !== null) this.#futures.drop(future);
    }
    return {
      completions: feed.after(after),
      cursor: feed.cursor,
      wait: (ms, gone) => feed.wait(ms, gone),
    };
  }

  /**
   * The served name of a base model. Its folder will do too: clients load their tokenizer by the name that they gave.
   * @throws `MODEL_NOT_FOUND`
   */
  #served(baseModel: string): string {
    const byFolder = this.#inference.models().find(({ card }) => card?.model === baseModel);
    return byFolder?.names[0] ?? this.#inference.find(baseModel).names[0] ?? baseModel;
  }

  #ended(session: Session): void {
    this.#samplers.endSession(session);
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

const infoOf = ({ baseModel, id }: Sampler): SamplerInfo => ({ id, baseModel });

function ticketOf({ id }: Future, { count, sampler, seqId }: SampleRequest): SampleTicket {
  return {
    requestId: id,
    sequenceIds: Array.from({ length: count }, (_, at) => `${sampler}:${seqId}:${at}`),
  };
}
