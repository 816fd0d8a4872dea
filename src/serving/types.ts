/**
 * What serving offers and what it needs: gateways see `Inference`, replicas implement `Replica`.
 * Hot paths push (sinks called synchronously from the channel), because a promise per token is what a gateway cannot afford;
 * `generateStream` in `runtime/embed.ts` wraps a sink as an AsyncIterable for people.
 */
import type { TwinkleError } from '../errors.js';
import type {
  DetokenizeParams,
  DetokenizeResult,
  EngineStats,
  GenerateEnd,
  GenerateParams,
  HttpParams,
  HttpPart,
  ModelCard,
  TokenDelta,
  TokenizeParams,
  TokenizeResult,
} from '../protocol/values.js';
import type { Held, ServedAdapter } from './types/control.js';
import type { ServedWeights } from './types/weights.js';

/** Receives one answer of an engine, piece by piece. After `end` or `error` nothing more is called. */
export interface Sink<Item, End> {
  delta(item: Item): void;
  end(end: End): void;
  error(error: TwinkleError): void;
}

/** Receives one generation. */
export type TokenSink = Sink<TokenDelta, GenerateEnd>;

/** Receives the answer of the engine's own server: the first part has status and headers, the end is the end of the body. */
export type HttpSink = Sink<HttpPart, null>;

/** A generation, or a relayed request, under way. */
export interface Generation {
  /** Withdraw it: the engine frees its slot within one step; the sink hears nothing more. Idempotent. */
  abort(): void;
  /**
   * The sink's consumer is slow (`true`) or has caught up (`false`). While paused no more credits are granted, so at most one
   * credit window of items arrives; the rank merges the rest, which comes as one item a choice with the end.
   */
  pause(paused: boolean): void;
}

/** State of a model, derived from its gangs and never from a flag of its own. */
export type ModelState = 'starting' | 'ready' | 'restarting' | 'failed' | 'draining' | 'stopped';

/** Progress of a start, for `/startupz` and the terminal. */
export interface StartProgress {
  readonly phase: string;
  /** 0 to 1 within the phase. */
  readonly progress: number;
  readonly detail: string;
  readonly elapsedMs: number;
}

/** A model as clients see it. */
export interface ServedModel {
  /** Names it answers to; the first is the one in responses. */
  readonly names: readonly string[];
  /** Unix seconds of its first start. */
  readonly created: number;
  readonly state: ModelState;
  /** Null before the first load. */
  readonly card: ModelCard | null;
  readonly progress: StartProgress | null;
  /** Why it is `failed` or `restarting`. */
  readonly reason: string | null;
  /** Those that run, start, wait for a place or end. */
  readonly replicas: readonly ReplicaStatus[];
  /** LoRA adapters that are loaded; absent: none. */
  readonly adapters?: readonly ServedAdapter[];
  /** Absent: nothing keeps it from answering. */
  readonly held?: Held;
  /** Absent: its replicas always have their devices. */
  readonly turn?: DeviceTurn;
  /** That replaced those of the start; absent: none did. */
  readonly weights?: ServedWeights;
  /** Of an adapter that was asked for by its name: the model that it belongs to. */
  readonly parent?: string;
  /** Where their number follows the load. */
  readonly scale?: ScaleStatus;
}

/** Who has the devices that its replicas share with the ranks that train it. */
export interface DeviceTurn {
  /** training: its replicas sleep. changing: they go to sleep, or wake up. */
  readonly holder: 'sampling' | 'training' | 'changing';
  /** Unix milliseconds: since when. */
  readonly since: number;
  /** Requests, and calls to the ranks that train, that wait for their turn. */
  readonly waiting: { readonly sampling: number; readonly training: number };
}

/** How many replicas there should be, now and at all. */
export interface ScaleStatus {
  readonly wanted: number;
  readonly min: number;
  readonly max: number;
}

export interface ReplicaStatus {
  readonly id: string;
  readonly state: ModelState;
  readonly epoch: number;
  readonly restarts: number;
  readonly inFlight: number;
  /** Id of the placement group that it runs in; null: it has none yet. */
  readonly group: string | null;
  readonly stats: EngineStats | null;
  readonly ranks: readonly {
    readonly rank: number;
    readonly pid: number | null;
    readonly devices: readonly string[];
    readonly log: string;
  }[];
}

/** Who asks; admission and limits count by it. */
export interface Caller {
  /** Tenant id: a hash of the API key, or `local`. Never the key itself. */
  readonly tenant: string;
}

/** What gateways may do with models. */
export interface Inference {
  models(): readonly ServedModel[];
  /** The model of that name; null or empty name: the only one. Throws `MODEL_NOT_FOUND`. */
  find(name: string | null): ServedModel;
  /** What the model said of itself at its load. Where none has been loaded yet this waits, as a request would; rejects as `generate` throws. */
  loaded(model: string | null): Promise<ModelCard>;
  /**
   * Start a generation; the sink is called later, never from inside this call.
   * Throws `MODEL_NOT_FOUND`, `NOT_READY`, `DRAINING` or, with a full queue, `OVERLOADED` (with `retryAfterMs`).
   */
  generate(model: string | null, params: GenerateParams, sink: TokenSink, caller: Caller): Generation;
  /**
   * Hand a request to the engine's own server (`ModelCard.routes`). Queued, sent and retried as a generation of `width` choices
   * (default 1); throws the same, and the sink is called later too.
   */
  relay(model: string | null, params: HttpParams, sink: HttpSink, caller: Caller, width?: number): Generation;
  /** First name of the model that has a stored response of `/v1/responses`; null: none is known to. */
  modelOfResponse(id: string): string | null;
  tokenize(model: string | null, params: TokenizeParams): Promise<TokenizeResult>;
  detokenize(model: string | null, params: DetokenizeParams): Promise<DetokenizeResult>;
  /** False once draining has begun. */
  readonly accepting: boolean;
}
