/** What is remembered of an adapter between two requests of its client, and after a restart: plain JSON. Pure. */
import type { RunNote } from '../training/types.js';
import type { Given } from './arguments.js';
import { DEFAULT_LOSS } from './losses/loss.js';
import type { LossSpec } from './losses/spec.js';
import { type Metrics, newMetrics } from './metrics/metrics.js';
import type { OptimizerSettings } from './optimizers.js';
import type { Scheduler } from './schedulers/scheduler.js';

/** A class by its name, and its arguments. */
export interface Named {
  readonly name: string;
  readonly kwargs: Given;
}

export interface AdapterState {
  /** `<session>-<name>`, as the client's paths have it. */
  readonly id: string;
  /** Served name of the model. */
  readonly model: string;
  readonly loss: LossSpec;
  readonly optimizer: (OptimizerSettings & { readonly name: string }) | null;
  readonly scheduler: Scheduler | null;
  readonly template: Named | null;
  readonly processor: Named | null;
  /** Passes with backward of a step. */
  readonly accumulation: number;
  /** Passes with backward so far. */
  readonly passes: number;
  /** What the gradient is divided by where it is clipped. */
  readonly denominator: number;
  /** What clip_grad_norm has asked of the next step; null: nothing. */
  readonly clip: { readonly scale: number; readonly norm: number; readonly type: number } | null;
  /** The ranks may have a gradient that nobody counts: it is to be forgotten before more is added. */
  readonly unsure: boolean;
  readonly gradNorm: number;
  readonly metrics: Metrics;
  /** Folder of the server that what is saved is copied to; null: none. */
  readonly saveDir: string | null;
}

/** Of a new adapter. */
export function newState(
  { accumulation, id, model, saveDir }: Pick<AdapterState, 'id' | 'model' | 'accumulation' | 'saveDir'>,
  nowMs: number,
): AdapterState {
  return {
    ...{ id, model, accumulation },
    ...{ loss: DEFAULT_LOSS, optimizer: null, scheduler: null, template: null, processor: null },
    ...{ passes: 0, denominator: 0, clip: null, unsure: false, gradNorm: 0, metrics: newMetrics(nowMs) },
    saveDir,
  };
}

/** Whether a step may be taken: enough passes have been made. */
export const stepIsDue = ({ accumulation, passes }: Pick<AdapterState, 'accumulation' | 'passes'>): boolean =>
  passes > 0 && passes % accumulation === 0;

/** After the gradient was lost: the passes since the last step count as never made. */
export function withoutGradient({
  accumulation,
  denominator,
  passes,
}: AdapterState): Pick<AdapterState, 'clip' | 'denominator' | 'passes'> {
  // A step that was due has had all its passes.
  const begun = denominator === 0 ? 0 : passes % accumulation || accumulation;
  return { clip: null, denominator: 0, passes: Math.max(0, passes - begun) };
}

const KIND = 'twinkle-adapter';

/** The state as a run keeps it. */
export const noteOf = (state: AdapterState): RunNote => ({ kind: KIND, ...state });

/** Null: that run is no adapter of this API. */
export function stateOf(note: RunNote | null): AdapterState | null {
  if (note?.kind !== KIND) return null;
  const { kind: _, ...state } = note;
  return state as unknown as AdapterState;
}
