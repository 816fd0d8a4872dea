/** The compiled configuration of a Twinkle Server: defaults are in, relations hold, times are in ms. */
import type { Autoscaling, Bundle } from '../types.js';

/** What a file says. */
export interface TwinkleConfig {
  /** Namespace of actors. */
  readonly namespace: string;
  readonly proxyLocation: 'EveryNode' | 'HeadOnly' | 'Disabled';
  readonly http: { readonly host: string; readonly port: number };
  readonly telemetry: TelemetryConfig;
  readonly persistence: PersistenceConfig;
  readonly applications: readonly Application[];
}

export interface TelemetryConfig {
  readonly enabled: boolean;
  readonly serviceName: string;
  readonly endpoint: string;
  readonly debug: boolean;
  readonly exportIntervalMs: number;
  readonly resourceAttributes: Readonly<Record<string, string | number | boolean>>;
}

/** Where sessions, runs and futures are kept. */
export type PersistenceConfig =
  | { readonly mode: 'memory' }
  /** Absolute path. */
  | { readonly mode: 'file'; readonly path: string }
  | { readonly mode: 'redis'; readonly url: string; readonly keyPrefix: string };

export type Application = ServerApplication | ModelApplication | SamplerApplication | ProcessorApplication;

interface Common {
  readonly name: string;
  /** Paths under which it is reached, the one that clients build first. */
  readonly prefixes: readonly string[];
  readonly deployment: TwinkleDeployment;
}

export interface TwinkleDeployment {
  /** Replicas, or the most that there may be. */
  readonly replicas: number;
  /** Null: always as many. */
  readonly autoscaling: Autoscaling | null;
  /** Null: as many as it takes. */
  readonly maxOngoing: number | null;
  readonly maxQueued: number | null;
  /** What a replica holds beside its device group. */
  readonly resources: Bundle;
  readonly envVars: Readonly<Record<string, string>>;
}

export interface ServerApplication extends Common {
  readonly kind: 'server';
  readonly sessionTimeoutMs: number;
  readonly cleanupIntervalMs: number;
  /** Models that one token may have at a time. */
  readonly modelsPerToken: number;
  readonly metricsIntervalMs: number;
  /** Names that clients may ask for; null: all there are. */
  readonly supportedModels: readonly string[] | null;
}

/** Limits of requests, of each token. Null: none. */
export interface QueueLimits {
  readonly requests: number | null;
  /** Input tokens. */
  readonly tokens: number | null;
  /** What both are counted over. */
  readonly windowMs: number;
  readonly maxInputTokens: number | null;
  readonly queueTimeoutMs: number | null;
  readonly executionTimeoutMs: number | null;
  /** An idle token's counts are forgotten after so long. */
  readonly forgetMs: number;
  readonly cleanupIntervalMs: number;
}

interface OnDevices extends Common {
  /** As clients name it. */
  readonly modelName: string;
  /** As written: `ms://…`, `hf://…`, a folder, a hub id. */
  readonly modelId: string;
  readonly devices: DeviceGroup;
  readonly queue: QueueLimits;
}

export interface ModelApplication extends OnDevices {
  readonly kind: 'model';
  readonly backend: 'transformers' | 'megatron' | 'mock';
  /** All parameters are trained, by one tenant at a time. */
  readonly full: boolean;
  readonly adapterTimeoutMs: number;
  readonly adapterMaxLifetimeMs: number;
  readonly maxLoras: number;
  readonly maxLength: number | null;
}

export interface SamplerApplication extends OnDevices {
  readonly kind: 'sampler';
  readonly engine: 'vllm' | 'torch' | 'mock';
  /** Null: what the model says. */
  readonly maxModelLen: number | null;
  readonly engineArgs: Readonly<Record<string, unknown>>;
}

export interface ProcessorApplication extends Common {
  readonly kind: 'processor';
  /** In all. */
  readonly processes: number;
  readonly processesPerNode: number;
  readonly queue: QueueLimits;
}

/** Devices of a model or sampler, and how it is laid out on them. */
export interface DeviceGroup {
  readonly name: string;
  readonly type: 'GPU' | 'NPU' | 'CPU';
  /** Devices, or processes on CPUs. */
  readonly ranks: number;
  /** Which; null: any. */
  readonly chosen: readonly number[] | null;
  /** Devices of each process. */
  readonly perWorker: number;
  readonly perNode: number;
  /** Indices that may be used of each node; null: all. */
  readonly visible: readonly number[] | null;
  readonly mesh: Mesh;
}

/** Sizes of the dimensions; 1 where there is none. */
export interface Mesh {
  readonly world: number;
  readonly dp: number;
  readonly fsdp: number;
  readonly tp: number;
  readonly pp: number;
  readonly cp: number;
  readonly ulysses: number;
  readonly ep: number;
  readonly etp: number;
  readonly epFsdp: number;
  readonly vpp: number;
  readonly sequenceParallel: boolean;
  /** Parts that a batch is cut into. */
  readonly dataParts: number;
}
