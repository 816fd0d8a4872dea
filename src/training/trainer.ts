/** What the service needs of the ranks that train. The runtime has them. */
import type { Calls } from '../protocol/methods.js';
import type { NewRun } from './types.js';

type TrainingCall =
  | 'train_create'
  | 'train_drop'
  | 'train_pass'
  | 'train_step'
  | 'train_norm'
  | 'train_zero'
  | 'train_encode'
  | 'train_save'
  | 'train_load';

/** Ranks with a base model loaded, from their start to their end. */
export interface Trainer {
  /** They have ended, or were started again: what they had is lost. */
  readonly gone: boolean;
  call<M extends TrainingCall>(method: M, params: Calls[M]['params']): Promise<Calls[M]['result']>;
}

/** How much of one model is trained at a time. */
export interface ModelLimits {
  /** Runs that are on its ranks at a time. */
  readonly maxRuns: number;
  /** Whether runs may train all its parameters. */
  readonly full: boolean;
  /** A run that is older ends; null: none does. */
  readonly maxLifeMs: number | null;
  /** A run ends whose session was not heard of for so long; absent: with the session alone. */
  readonly silenceMs?: number;
}

/** A model that is trained and not served. */
export interface TrainedOnly {
  readonly name: string;
  /** Tokens; null: its ranks are not up. */
  readonly maxModelLen: number | null;
}

export interface TrainerHost {
  /** Whether runs of that served model can be trained. */
  trains(model: string): boolean;
  /** @throws `UNSUPPORTED_PARAMETER`: what the model's engines could never sample from, though it can be trained */
  checkRun(model: string, run: Pick<NewRun, 'rank' | 'unembed'>): void;
  /** What a model has for itself; null, or absent: what is said of all. */
  limits?(model: string): ModelLimits | null;
  /** Models that can be trained and are not served; absent: there are none. */
  trainedOnly?(): readonly TrainedOnly[];
  /** Where a client loads the model's tokenizer from. */
  folder(model: string): string;
  /** Those of a served model; the first to ask has them started. @throws `GANG_FAILED` and others: why they cannot be */
  open(model: string): Promise<Trainer>;
  /** Why what that model is to be trained with waits; null: it does not wait for its devices. Absent: it never does. */
  paused?(model: string): string | null;
  /** No run needs them: those that have no devices of their own end, until they are asked for again. */
  close(model: string): void;
}
