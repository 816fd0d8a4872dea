/**
 * The compiled configuration: defaults are in, nothing is optional, nothing is checked again later.
 * What users write (flags, environment, YAML, `createServer` options) becomes this in `compile.ts`.
 */
import type { BucketPlace } from '../util/bucket-url.js';
import type { TwinkleConfig } from './twinkle/types.js';

/** Engines that `--engine` names. */
export type EngineName = 'vllm' | 'transformers' | 'mock';

/** One model to serve. */
export interface ModelConfig {
  /** Absolute folder or hub id; the built-in `demo` is compiled to its folder. For the mock engine any word. */
  readonly model: string;
  /** Names that clients use; the first one is shown in answers. */
  readonly servedNames: readonly string[];
  readonly engine: EngineName;
  readonly tensorParallel: number;
  readonly pipelineParallel: number;
  /** Replicas; with {@link autoscaling} the most that there may be. */
  readonly dataParallel: number;
  /** How many of them run; null: all, always. */
  readonly autoscaling: Autoscaling | null;
  /** Requests that a replica runs at a time at most; null: as many as its engine takes. */
  readonly maxOngoing: number | null;
  /** Requests that may wait for it; null: `HttpConfig.maxQueue`. */
  readonly maxQueued: number | null;
  readonly routing: Routing;
  readonly placement: ModelPlacement;
  /** Null: what the model says. */
  readonly maxModelLen: number | null;
  /** Engine arguments by their own names, untouched. */
  readonly engineArgs: Readonly<Record<string, unknown>>;
  /** Null: the engine's own arguments say what there is of adapters. */
  readonly lora: LoraSettings | null;
  /** Set in every rank of the model, over what it inherits. */
  readonly envVars: Readonly<Record<string, string>>;
}

/** `prefix`: to the replica that has computed the beginning of the prompt, unless it is markedly busier. */
export type Routing = 'prefix' | 'least-loaded';

/** When replicas are added and taken away: Ray Serve's `autoscaling_config`. Times in ms. */
export interface Autoscaling {
  /** 0: the last one goes, too, and comes back when a request waits. */
  readonly min: number;
  readonly max: number;
  /** Replicas of the start. */
  readonly initial: number;
  /** Requests, waiting ones included, that a replica should have. */
  readonly targetOngoing: number;
  /** How long more must be wanted before there are more. */
  readonly upscaleDelayMs: number;
  readonly downscaleDelayMs: number;
  /** The same for the last one. */
  readonly downscaleToZeroDelayMs: number;
  /** Share of a wished change that is made. */
  readonly upscalingFactor: number;
  readonly downscalingFactor: number;
  /** Requests are counted over so long. */
  readonly lookBackMs: number;
  readonly aggregation: 'mean' | 'max' | 'min';
}

/** Adapters that load on first use: Ray Serve LLM's `lora_config`. */
export interface LoraSettings {
  /** Folder or bucket (`s3://…`) with a folder for each adapter; null: only adapters that were named. */
  readonly dynamicPath: string | null;
  readonly maxAdaptersPerReplica: number;
  /** Null: no limit. */
  readonly downloadTimeoutMs: number | null;
  readonly maxDownloadTries: number;
}

/** Resource → amount, as users of Ray write a bundle. */
export type Bundle = Readonly<Record<string, number>>;

export type PlacementStrategy = 'PACK' | 'SPREAD' | 'STRICT_PACK' | 'STRICT_SPREAD';

/** What the placement groups of a model ask for; `engines/placement.ts` makes the groups. */
export interface ModelPlacement {
  /** The device that each rank gets; null: ranks run on CPUs. */
  readonly accelerator: 'GPU' | 'NPU' | null;
  /** Each bundle asks for `accelerator_type:X`; null: any. */
  readonly acceleratorType: string | null;
  readonly strategy: PlacementStrategy;
  /** With data parallelism: a group for each replica, or one group that holds them all. */
  readonly dataParallel: 'replica' | 'gang';
  /** Bundles of one replica as written; null: one a rank. */
  readonly bundles: readonly Bundle[] | null;
  /** CPUs merged into the first bundle; null: not written. */
  readonly replicaCpus: number | null;
}

export interface DeviceChoice {
  readonly kind: 'gpu' | 'npu';
  readonly index: number;
  readonly uuid: string;
}

/** A device that this machine offers to placement groups. */
export interface OfferedDevice extends DeviceChoice {
  readonly name: string;
  readonly numaNode: number | null;
}

/** What this machine offers where no head does. */
export interface NodeConfig {
  /** Null: those that this process may use. */
  readonly cpus: number | null;
  /** Per kind in the order of its instances: the first GPU is instance 0. */
  readonly devices: readonly OfferedDevice[];
  /** Pairs of positions in `devices`. */
  readonly links: readonly {
    readonly a: number;
    readonly b: number;
    readonly kind: DeviceLinkKind;
    readonly lanes: number;
  }[];
  /** Why other devices are not offered, a line each: for refusals. */
  readonly leftOut: readonly string[];
}

/** Where runs are trained. */
export interface TrainingConfig {
  /** One rank on each, from the start; null: those of the model's replicas, from the first run on. */
  readonly devices: readonly DeviceChoice[] | null;
  /** Replicas of a model sleep while it is trained on their devices. */
  readonly sleepWhileTraining: boolean;
  /** Each rank holds a part of every layer, not the whole model. */
  readonly shard: boolean;
  /** Ranks at most; null: one on each device, or one on CPUs. */
  readonly ranks: number | null;
  /** Whether runs may train all parameters of a model. */
  readonly full: boolean;
  /** Runs of a model that are on its ranks at a time. */
  readonly maxRuns: number;
  /** A run that was idle for so long is parked; ranks without a run for so long end. */
  readonly idleMs: number;
  /** A run that is older ends; null: none does. */
  readonly maxLifeMs: number | null;
  /** Of a key's checkpoints; null: as many as the disk takes. */
  readonly maxCheckpointBytes: number | null;
  /** Where checkpoints that clients can name are kept; null: in the home folder alone. */
  readonly checkpointStore: BucketPlace | null;
}

/** A model that ranks in a placement group of their own train. It may be served, too, or not. */
export interface TrainedModel {
  /** As clients name it: of the served model, if there is one. */
  readonly name: string;
  /** As {@link ModelConfig.model}. */
  readonly model: string;
  readonly engine: 'transformers' | 'mock';
  /** Each computes a share of what is trained. */
  readonly ranks: number;
  /** Each rank holds a part of every layer, not the whole model. */
  readonly shard: boolean;
  readonly placement: ModelPlacement;
  /** Null: what the model says. */
  readonly maxModelLen: number | null;
  /** Whether runs may train all its parameters. */
  readonly full: boolean;
  /** Runs that are on its ranks at a time. */
  readonly maxRuns: number;
  /** A run that is older ends; null: none does. */
  readonly maxLifeMs: number | null;
  /** A run ends whose session was not heard of for so long. */
  readonly silenceMs: number;
  /** Set in every rank, over what it inherits. */
  readonly envVars: Readonly<Record<string, string>>;
}

/** As in the device report. */
export type DeviceLinkKind = 'nvlink' | 'hccs' | 'pix' | 'pxb' | 'phb' | 'node' | 'sys' | 'unknown';

export interface HttpConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Path of a unix socket instead of host and port. */
  readonly uds: string | null;
  /** Bytes of a request body at most. */
  readonly bodyLimit: number;
  /** Requests that wait for a slot at most, over all tenants; one more gets 429. */
  readonly maxQueue: number;
}

export interface AuthConfig {
  /**
   * `keys`: one of the hashes must match. `anonymous`: loopback with no key configured; each key shown is a tenant, none is `local`.
   * `off`: `--no-auth` was said.
   */
  readonly mode: 'keys' | 'anonymous' | 'off';
  /** SHA-256 of the accepted keys, hex. */
  readonly keyHashes: readonly string[];
  /** A key that was generated in this start and must be printed once; never logged. */
  readonly generatedKey: string | null;
}

export interface PythonConfig {
  /** The user's own interpreter, or null: the environment that `setup` makes. */
  readonly interpreter: string | null;
  /** False with `--no-setup`: a missing environment is an error that names the command. */
  readonly mayInstall: boolean;
}

export interface SupervisionConfig {
  /** A drain ends after so long, finished or not. */
  readonly shutdownTimeoutMs: number;
  /** Deadline of each phase of a start. */
  readonly phaseTimeoutMs: number;
  /** An engine step that takes longer is a hang. */
  readonly stepTimeoutMs: number;
  /** Restarts within the window that open the crash-loop breaker. */
  readonly crashLoopLimit: number;
  readonly crashLoopWindowMs: number;
}

/** Everything that `serve` needs to know. */
export interface ServeConfig {
  readonly models: readonly ModelConfig[];
  /** Models with ranks of their own that train; others are trained where {@link training} says. */
  readonly trained: readonly TrainedModel[];
  /** The file that both come from, where it is one of a Twinkle Server; null: it is none. */
  readonly twinkle: TwinkleConfig | null;
  readonly node: NodeConfig;
  readonly training: TrainingConfig;
  /** `auto`: the head that runs here; `local`: none; null: a head if one runs, else none. */
  readonly address: 'auto' | 'local' | null;
  readonly http: HttpConfig;
  readonly auth: AuthConfig;
  readonly python: PythonConfig;
  readonly supervision: SupervisionConfig;
  /** Folder of state, logs and sockets (`TWINKLE_HOME`). */
  readonly home: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error';
}
