/** Methods a rank answers: name → parameters, result and, for streams, items. */
import type * as T from './training.js';
import type * as V from './values.js';

/** Calls: one answer each. */
export interface Calls {
  load: { params: V.LoadParams; result: V.ModelCard };
  tokenize: { params: V.TokenizeParams; result: V.TokenizeResult };
  detokenize: { params: V.DetokenizeParams; result: V.DetokenizeResult };
  /** Gives back what it got: the round trip of the bench and of readiness probes. */
  echo: { params: unknown; result: unknown };
  attach_segment: { params: V.SegmentParams; result: null };
  detach_segment: { params: V.SegmentParams; result: null };
  tensor_summary: { params: V.TensorParams; result: V.TensorSummary };
  train_create: { params: T.CreateRunParams; result: null };
  train_drop: { params: T.RunParams; result: null };
  train_pass: { params: T.TrainPassParams; result: T.TrainPassResult };
  train_step: { params: T.OptimStepParams; result: T.TrainMetrics };
  /** The norm of a gradient as a step would clip it. */
  train_norm: { params: T.GradientNormParams; result: T.GradientNorm };
  /** Forgets a gradient. */
  train_zero: { params: T.ClearGradientParams; result: null };
  /** Conversations as sequences; needs no run. */
  train_encode: { params: T.EncodeParams; result: T.EncodedConversations };
  train_save: { params: T.SaveRunParams; result: T.SavedBytes };
  train_load: { params: T.LoadRunParams; result: null };
  /** Gives back what memory of its device it has and does not use. */
  train_release: { params: null; result: null };
  /** Ends the rank after its answer; exit code 0. */
  shutdown: { params: null; result: null };
}

/** Streams: items, then an end. */
export interface Streams {
  generate: { params: V.GenerateParams; item: V.TokenDelta; end: V.GenerateEnd };
  /** A request for a route of the engine's own server. */
  http: { params: V.HttpParams; item: V.HttpPart; end: null };
}

/** Name → schema names, for the generator and the contract tests; held equal to the interfaces by their types. */
export const METHODS = {
  load: ['LoadParams', 'ModelCard'],
  tokenize: ['TokenizeParams', 'TokenizeResult'],
  detokenize: ['DetokenizeParams', 'DetokenizeResult'],
  echo: [null, null],
  attach_segment: ['SegmentParams', null],
  detach_segment: ['SegmentParams', null],
  tensor_summary: ['TensorParams', 'TensorSummary'],
  train_create: ['CreateRunParams', null],
  train_drop: ['RunParams', null],
  train_pass: ['TrainPassParams', 'TrainPassResult'],
  train_step: ['OptimStepParams', 'TrainMetrics'],
  train_norm: ['GradientNormParams', 'GradientNorm'],
  train_zero: ['ClearGradientParams', null],
  train_encode: ['EncodeParams', 'EncodedConversations'],
  train_save: ['SaveRunParams', 'SavedBytes'],
  train_load: ['LoadRunParams', null],
  train_release: [null, null],
  shutdown: [null, null],
  generate: ['GenerateParams', 'GenerateEnd'],
  http: ['HttpParams', null],
} as const satisfies Record<keyof Calls | keyof Streams, readonly [string | null, string | null]>;
