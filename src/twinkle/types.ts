/** What the model routes of Twinkle's API ask: adapters by their names, and calls of them. */
import type { TwinkleError } from '../errors.js';
import type { Given } from './arguments.js';
import type { Sampled } from './sampled.js';

/** Who asks, of which adapter. */
export interface AdapterOwner {
  readonly tenant: string;
  /** Of the client; null: it has said none. */
  readonly session: string | null;
  /** As clients name the model. */
  readonly model: string;
}

/** A call of an adapter. */
export interface AdapterCall extends AdapterOwner {
  /** The client's own name of the adapter. */
  readonly adapter: string;
  /** What else came with it. */
  readonly kwargs: Given;
}

/** Calls by their last word in the path; the answers are JSON. */
export type AdapterMethod =
  | 'forward'
  | 'forward_only'
  | 'calculate_loss'
  | 'backward'
  | 'forward_backward'
  | 'clip_grad_norm'
  | 'step'
  | 'zero_grad'
  | 'lr_step'
  | 'clip_grad_and_step'
  | 'get_train_configs'
  | 'set_loss'
  | 'set_optimizer'
  | 'set_lr_scheduler'
  | 'set_template'
  | 'set_processor'
  | 'add_metric'
  | 'calculate_metric'
  | 'get_state_dict'
  | 'apply_patch'
  | 'save'
  | 'load'
  | 'resume_from_checkpoint';

/** The service. Errors: `INVALID_REQUEST`, `MODEL_NOT_FOUND`, `ADAPTER_NOT_FOUND`, and those of the training service. */
export interface TwinkleModels {
  /** @throws `MODEL_NOT_FOUND` */
  check(model: string): void;
  /** @returns the adapter's id. The same again is another one in its place, which begins anew. */
  add(call: AdapterCall): Promise<string>;
  call(method: AdapterMethod, call: AdapterCall): Promise<unknown>;
}

/** Completions are asked for. */
export interface SampleCall {
  readonly tenant: string;
  /** Of the client; null: it has said none. */
  readonly session: string | null;
  /** As clients name the model. */
  readonly model: string;
  readonly requestId: string;
  /** As they came: sequences, or conversations. */
  readonly inputs: unknown;
  /** `sampling_params`; null: none. */
  readonly params: Given | null;
  /** Path of saved weights; null: the model itself. */
  readonly adapterUri: string | null;
  readonly adapterName: string;
  /** Tells what to call when the client has gone; absent: it stays. */
  left?(abort: () => void): void;
}

/** Hears the text of one sequence. After `end` or `error` nothing more is called. */
export interface StreamedText {
  /** @param finish why it ends with this; null: it goes on */
  delta(text: string, finish: string | null): void;
  end(): void;
  error(error: TwinkleError): void;
}

/** The sampler routes' service. Errors: `INVALID_REQUEST`, `MODEL_NOT_FOUND`, `CHECKPOINT_NOT_FOUND`, and those of `Inference.generate`. */
export interface TwinkleSamplers {
  /** @throws `MODEL_NOT_FOUND` */
  check(model: string): void;
  /** How conversations of that session are written from now on. */
  setTemplate(call: Pick<SampleCall, 'tenant' | 'session' | 'model'>, name: unknown, kwargs: Given): void;
  /** One answer for each input. */
  sample(call: SampleCall): Promise<readonly Sampled[]>;
  /** One sequence of one input. @returns what ends it */
  stream(call: SampleCall, sink: StreamedText): { abort(): void };
}
