/** New weights for a model that is served. `serving/model-weights.ts` brings them to all replicas. */
import type { SegmentParams, TensorHandle } from '../../protocol/values.js';

/** What becomes of requests that run: they end first, go on with the new weights (their cache is computed anew), or are ended. */
export type UpdateMode = 'wait' | 'keep' | 'abort';

/** A tensor by its name in a checkpoint. */
export interface NamedTensor {
  readonly name: string;
  readonly tensor: TensorHandle;
}

/** A rank that can be given a segment. */
export interface SegmentReader {
  readonly rank: number;
  /** Send the descriptor ahead of the call. */
  pass(segment: string, fd: number): void;
  call(method: 'attach_segment' | 'detach_segment', params: SegmentParams): Promise<null>;
  /** Resolves when its process is gone. */
  readonly gone: Promise<void>;
}

/** A shared segment with tensors in it: `tensor/tensor-store.ts`. */
export interface WeightStore {
  /** Of the segment. */
  readonly name: string;
  /** Let a rank read it; once per rank and epoch. */
  share(reader: SegmentReader): Promise<void>;
  /** Have a rank let go of it. */
  unshare(reader: SegmentReader): Promise<void>;
  /** Keep a tensor's memory, whoever else releases it. Returns how to let it go. Throws for what is no tensor of this store. */
  hold(tensor: TensorHandle): () => void;
}

/**
 * A folder with safetensors, or tensors in shared memory. While they are the current weights neither may change: a replica that starts
 * reads them again.
 */
export type WeightSource =
  | { readonly folder: string }
  | { readonly tensors: readonly NamedTensor[]; readonly store: WeightStore };

/** An update of a model's weights. */
export interface WeightUpdate {
  readonly source: WeightSource;
  readonly mode: UpdateMode;
}

/** Which weights are current. */
export interface ServedWeights {
  /** The folder, or `segments`. */
  readonly source: string;
  /** Unix ms of the update. */
  readonly since: number;
}
