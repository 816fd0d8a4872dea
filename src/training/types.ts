/** What the training service offers to gateways. Wire names stay in the gateways; bytes of results are Tinker's messages. */
import type {
  EncodedConversations,
  EncodeParams,
  GradientNormParams,
  OptimStepParams,
  TrainOutcome,
  TrainWork,
} from '../protocol/training.js';
import type { GenerateParams } from '../protocol/values.js';
import type { Generation, TokenSink } from '../serving/types.js';
import type { CheckpointPath } from './checkpoint-path.js';
import type {
  CheckpointRegistry,
  HandOverRequest,
  LoadRequest,
  ResumeRequest,
  SaveRequest,
} from './types/checkpoints.js';
import type { TrainingWatch } from './types/progress.js';

/** A request's answer. */
export interface FutureResult {
  readonly kind: 'json' | 'protobuf';
  readonly bytes: Uint8Array;
}

/** Why there is none. */
export interface FutureFailure {
  readonly error: string;
  readonly category: 'unknown' | 'server' | 'user';
}

/** Who waits: is given what to call when it has gone, once, before or after the wait is over. Not an AbortSignal: a long poll costs less than one. */
export type Listener = (leave: () => void) => void;

/** A request whose answer is waited for. */
export interface PendingRequest {
  readonly id: string;
  /** What it was asked of: that says which message a protobuf answer is. */
  readonly of: 'run' | 'sampler';
  /** Null: not yet. */
  readonly answer: FutureResult | FutureFailure | null;
  /** Why nothing is done for it now, for want of room; null: it is under way. */
  readonly paused: string | null;
  /** Resolves when there is an answer, after `ms`, or when `listener` has gone. */
  wait(ms: number, listener?: Listener): Promise<void>;
  cancel(): void;
}

/** A client's session. */
export interface SessionInfo {
  readonly id: string;
  readonly samplers: readonly string[];
  readonly runs: readonly string[];
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  readonly displayName: string | null;
}

export interface NewSession {
  /** The same one again is the same session. Null: none. */
  readonly idempotencyKey: string | null;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  readonly displayName: string | null;
}

/** Weights that a client samples from, as it was given them. */
export interface SamplerInfo {
  readonly id: string;
  /** Name of the served model. */
  readonly baseModel: string;
  /** What was trained of it; null: nothing. */
  readonly from: CheckpointPath | null;
}

export interface NewSampler {
  readonly session: string;
  readonly seqId: number;
  /** A model as it is served, or what was saved of a run. */
  readonly of: { readonly baseModel: string } | { readonly from: CheckpointPath };
}

/** Tokens are asked for. */
export interface SampleRequest {
  readonly sampler: string;
  /** Unique in the sampler: the same again is the same request. Clones of a client begin at multiples of 10⁹, beyond 2⁵³. */
  readonly seqId: bigint;
  readonly prompt: readonly number[];
  readonly count: number;
  /** Null: to the end of the context. */
  readonly maxTokens: number | null;
  readonly seed: number | null;
  /** Null: where the model ends by itself; empty: nowhere. */
  readonly stop: readonly string[] | readonly number[] | null;
  readonly temperature: number;
  /** 0: all. */
  readonly topK: number;
  readonly topP: number;
  /** Whether each prompt token's log-probability is wanted. */
  readonly promptLogprobs: boolean;
  /** Of the last so many prompt tokens only; null: of all. */
  readonly promptLogprobsLast: number | null;
  /** Alternatives of each prompt token; 0: none. */
  readonly topkPrompt: number;
  /** Alternatives of each sampled token; 0: none. */
  readonly topkSample: number;
}

/** A sample request was taken. */
export interface SampleTicket {
  readonly requestId: string;
  /** One for each sequence. */
  readonly sequenceIds: readonly string[];
}

/** An answer came for a sampler. */
export interface Completion {
  readonly requestId: string;
  /** Bytes of the answer; null: there is none, it failed. */
  readonly size: number | null;
}

/** How a LoRA is made, beyond its rank and where it is. */
export interface LoraOptions {
  /** The update is alpha / rank × B A. */
  readonly alpha: number;
  /** Share of its input that training leaves out, 0 to less than 1. */
  readonly dropout: number;
  /** Last words of names of layers, in place of `attn`, `mlp` and `unembed`; null: those. */
  readonly targets: readonly string[] | null;
  /** The update is alpha / √rank × B A. */
  readonly rslora: boolean;
  /** Of A. */
  readonly init: 'default' | 'gaussian';
}

/** What the API that a run was made by keeps with it: plain JSON, which outlives the process. */
export type RunNote = Readonly<Record<string, unknown>>;

/** What a client trains: a LoRA adapter, or the model's own parameters. */
export interface NewRun {
  readonly session: string;
  readonly seqId: number;
  readonly baseModel: string;
  /** Of its LoRA; 0: the model's own parameters are trained, and there is no adapter. */
  readonly rank: number;
  /** Of its random matrices; null draws one. */
  readonly seed: number | null;
  readonly attn: boolean;
  readonly mlp: boolean;
  readonly unembed: boolean;
  /** Absent: alpha 32, and nothing else. */
  readonly lora?: LoraOptions;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
}

export interface RunInfo extends NewRun {
  /** `<session>:train:<number>`. */
  readonly id: string;
  /** Where its tokenizer can be loaded from. */
  readonly folder: string;
  /** Its weights are gone. */
  readonly corrupted: boolean;
  /** Unix ms. */
  readonly lastRequest: number;
  /** Number of the request that it goes on with. */
  readonly next: number;
  /** See {@link TrainingService.note}. */
  readonly note: RunNote | null;
}

/** One forward or forward_backward. */
export interface ComputeRequest {
  readonly run: string;
  readonly seqId: number;
  readonly work: Omit<TrainWork, 'run'>;
}

/** One optimizer step. */
export interface StepRequest {
  readonly run: string;
  readonly seqId: number;
  readonly adam: Omit<OptimStepParams, 'run'>;
}

/**
 * What is waited for where it is asked: in the order of the calls, behind all numbered requests that came before. All reject with why they came
 * to nothing, also `RUN_NOT_FOUND`; `INVALID_REQUEST` for what the request is at fault for.
 */
export interface DirectTraining {
  pass(tenant: string, run: string, work: ComputeRequest['work']): Promise<TrainOutcome>;
  /** @returns metrics of the optimizer by `name:reduction` */
  step(tenant: string, run: string, params: StepRequest['adam']): Promise<Readonly<Record<string, number>>>;
  /** @returns the norm of the gradient, as a step would clip it */
  norm(tenant: string, run: string, params: Omit<GradientNormParams, 'run'>): Promise<number>;
  /** The gradient is forgotten. */
  zero(tenant: string, run: string): Promise<void>;
  /** Resolves when the run is there. @throws why it is not */
  made(tenant: string, run: string): Promise<void>;
  /** Conversations as sequences to train on, by the chat template of a served model. @throws `INVALID_REQUEST`, `UNSUPPORTED_PARAMETER` */
  encode(model: string, params: EncodeParams): Promise<EncodedConversations>;
  /** Names of the models that are sampled from. */
  sampled(): readonly string[];
  /** Count a request for samples in, however many generations it needs. @param tokens of all its inputs @throws `INVALID_REQUEST`, `OVERLOADED` */
  admitSamples(tenant: string, baseModel: string, tokens: number): void;
  /** Tokens, as they come. @throws what `Inference.generate` throws, and `CHECKPOINT_NOT_FOUND` */
  generate(tenant: string, of: DirectSource, params: GenerateParams, sink: TokenSink): Generation;
}

/** What is sampled from: a model, or what was saved of a run that trained it. */
export interface DirectSource {
  readonly baseModel: string;
  readonly from?: CheckpointPath;
}

/** A model that clients may name. */
export interface Capability {
  readonly model: string;
  readonly maxContextLength: number;
  readonly trainable: boolean;
}

/**
 * The service. A tenant sees only what is its own: anything else is as if it were not there. Errors that say so: `SESSION_ENDED` for sessions,
 * `SAMPLER_NOT_FOUND`, `RUN_NOT_FOUND`, `MODEL_NOT_FOUND`.
 */
export interface TrainingService {
  /** Runs of all tenants: not for what a tenant asks. */
  readonly watch: TrainingWatch;
  /**
   * To be awaited before anything is answered. Null: all that was promised so far survives the process. Otherwise resolves when it does.
   * @throws (rejects) `JOURNAL_FAILED` while it cannot, `CONFIG_INVALID` when it never will
   */
  written(): Promise<void> | null;
  capabilities(): readonly Capability[];
  /** Runs that fit on the ranks of all models at a time, and those that are there; others are parked. */
  capacity(): { readonly most: number; readonly used: number };
  createSession(tenant: string, session: NewSession): SessionInfo;
  /** The session lives on. */
  heartbeat(tenant: string, session: string): void;
  /** Its samplers end with it. Unknown ones are fine. */
  finish(tenant: string, session: string): void;
  sessions(tenant: string): readonly SessionInfo[];
  session(tenant: string, id: string): SessionInfo;
  createSampler(tenant: string, sampler: NewSampler): SamplerInfo;
  sampler(tenant: string, id: string): SamplerInfo;
  /** A number for one more client of a sampler, from 1 on. */
  joinSampler(tenant: string, id: string): number;
  /** @throws also what `Inference.generate` throws */
  sample(tenant: string, request: SampleRequest): SampleTicket;
  /** Null: it is not known any more. */
  request(tenant: string, id: string): PendingRequest | null;
  /** @returns the request's id. The same number of a session again is the same run. */
  createRun(tenant: string, run: NewRun): { readonly requestId: string; readonly run: string };
  run(tenant: string, id: string): RunInfo;
  runs(tenant: string): readonly RunInfo[];
  /** @returns the request's id, for a number that came before that of the first */
  compute(tenant: string, request: ComputeRequest): string;
  /** As {@link compute}. */
  step(tenant: string, request: StepRequest): string;
  /** As {@link compute}. @throws also `INVALID_REQUEST` for a name that exists */
  save(tenant: string, request: SaveRequest): string;
  /** As {@link compute}; the answer names the sampler. @throws also `UNSUPPORTED_PARAMETER` where no engine takes adapters */
  handOver(tenant: string, request: HandOverRequest): string;
  /** As {@link createRun}. @throws also `CHECKPOINT_NOT_FOUND` */
  resume(tenant: string, request: ResumeRequest): { readonly requestId: string; readonly run: string };
  /** As {@link compute}. @throws also `CHECKPOINT_NOT_FOUND` */
  load(tenant: string, request: LoadRequest): string;
  readonly checkpoints: CheckpointRegistry;
  readonly direct: DirectTraining;
  /** Keep something with a run, in place of what was kept before. Unknown runs are fine. */
  note(tenant: string, run: string, note: RunNote): void;
  /** Nothing more is done for a run, and nothing of it is left but its checkpoints. Unknown runs are fine. */
  endRun(tenant: string, run: string): void;
  /** A request of that number was refused: those behind it need not wait for it. Unknown runs are fine. */
  refused(tenant: string, run: string, seqId: number): void;
  /**
   * Answers of a sampler's requests of one client, in the order in which they came.
   * @param after how many of them have been heard of
   * @param retrieved requests whose answers need not be kept
   */
  completions(
    tenant: string,
    sampler: string,
    clone: number,
    after: number,
    retrieved: readonly string[],
  ): CompletionFeed;
}

/** See {@link TrainingService.completions}. */
export interface CompletionFeed {
  readonly completions: readonly Completion[];
  /** To be given as `after` the next time. */
  readonly cursor: number;
  /** Resolves when there is more, after `ms`, or when `listener` has gone. */
  wait(ms: number, listener?: Listener): Promise<void>;
}
