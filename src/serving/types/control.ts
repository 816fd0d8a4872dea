/**
 * What gateways may do to all replicas of a model at once: adapters, operations, metrics of engines. `serving/fleet-control.ts` has it.
 * Nothing here is about single requests: those go through `Inference`.
 */
import type { TwinkleError } from '../../errors.js';
import type { WeightUpdate } from './weights.js';

/** A LoRA adapter as clients see it. */
export interface ServedAdapter {
  readonly name: string;
  /** Folder, `s3://…` or hub id that it was loaded from. */
  readonly path: string;
  /** Of this name for as long as the server lives, whatever is unloaded and loaded again in between. */
  readonly id: number;
  /** Asked for by name (a flag or the load route): never evicted. False: loaded on first use. */
  readonly pinned: boolean;
  /** Requests that use it now, waiting ones included. */
  readonly inUse: number;
}

/** Why a model answers nothing although it is ready: its operator said so. Requests wait in its engines and in its queue. */
export type Held = 'sleeping' | 'paused';

/** `POST /v1/load_lora_adapter`, in our words. */
export interface AdapterRequest {
  readonly name: string;
  /** Null: the folder of that name under the dynamic loading path. */
  readonly path: string | null;
  /** Replace the weights of a loaded one without waiting for the requests that use it. */
  readonly inPlace: boolean;
  /** vLLM's `is_3d_lora_weight`; null: the engine's default. */
  readonly is3d: boolean | null;
}

/** A request for a route of every replica's engine. */
export interface Command {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  /** JSON text, or empty. */
  readonly body: string;
}

/** What one replica made of a {@link Command}. */
export interface ReplicaAnswer {
  readonly replica: string;
  /** HTTP status of its engine; null: it gave no answer, and `error` says why. */
  readonly status: number | null;
  readonly body: string;
  readonly error: TwinkleError | null;
}

/** The metrics page of one replica's engine. */
export interface EnginePage {
  /** First name of the model. */
  readonly model: string;
  /** Place of the replica in its model, from 0. */
  readonly index: number;
  readonly text: string;
}

/** The metrics pages of all engines that have one. */
export interface EnginePages {
  readonly pages: readonly EnginePage[];
  /** Replicas that were asked and did not answer in time. */
  readonly missed: readonly { readonly model: string; readonly replica: string }[];
}

/** Control of all served models. A null or empty model name means the only one; all but `enginePages` throw `MODEL_NOT_FOUND`. */
export interface FleetControl {
  /** Load on every replica, or on none. Throws `ROUTE_NOT_FOUND` for a model without adapters, `INVALID_REQUEST` with the engine's words. */
  loadAdapter(model: string | null, request: AdapterRequest): Promise<void>;
  /** Forget on every replica. Throws `MODEL_NOT_FOUND` for an adapter that is not loaded. */
  unloadAdapter(model: string | null, name: string): Promise<void>;
  /** Ask the engine of every replica that takes requests. Throws `NOT_READY` when none does, `ROUTE_NOT_FOUND` when engines have no routes. */
  operate(model: string | null, command: Command): Promise<readonly ReplicaAnswer[]>;
  /**
   * Replace the weights on every replica. Throws as {@link operate}, `NOT_READY` while the model sleeps too, and `INVALID_REQUEST` for
   * weights that cannot be found.
   */
  updateWeights(model: string | null, update: WeightUpdate): Promise<readonly ReplicaAnswer[]>;
  /** Never rejects; takes at most a second. */
  enginePages(): Promise<EnginePages>;
}
