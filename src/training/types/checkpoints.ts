/** Checkpoints, and what is asked of them, in the words of the training service. */
import type { CheckpointPath, NamedKind } from '../checkpoint-path.js';
import type { KeptProgress } from '../run-progress.js';
import type { NewRun } from '../types.js';

/** The shape of a run, as a checkpoint keeps it. */
export type RunShape = Pick<NewRun, 'baseModel' | 'rank' | 'seed' | 'attn' | 'mlp' | 'unembed' | 'lora'>;

/** A file of a checkpoint that a store has. */
export interface StoredFile {
  /** A plain file name. */
  readonly name: string;
  readonly bytes: number;
}

/** What was saved of a run. Kept as JSON: plain values alone. */
export interface Checkpoint {
  readonly path: CheckpointPath;
  /** Whose it is. */
  readonly tenant: string;
  /** Where it lies; with `stored` only once it was brought here. */
  readonly folder: string;
  /** All its files; absent: it is on this machine alone. */
  readonly stored?: readonly StoredFile[];
  readonly run: RunShape;
  /** Of the run. */
  readonly runMetadata: Readonly<Record<string, unknown>> | null;
  /** Unix ms. */
  readonly time: number;
  readonly bytes: number;
  /** Unix ms; null: never. */
  readonly expires: number | null;
  readonly public: boolean;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
  /** The request that it was saved for; absent: none. A copy has that of what it was copied from. */
  readonly request?: string;
  /** The folder that it was copied from; absent: it is no copy. */
  readonly copyOf?: string;
  /** Of a parked run: the number of the request that it goes on with. */
  readonly next?: number;
  /** Of a parked run: when something was asked of it last, Unix ms. */
  readonly lastRequest?: number;
  /** Of a parked run: it had a gradient that no step had used, and its client has yet to hear that it is gone. */
  readonly gradientDropped?: boolean;
  /** Of a parked run: how it trained. */
  readonly progress?: KeptProgress;
}

/** A run to be saved under a name: to go on from (`weights`, with the optimizer), to sample from, or to be downloaded. */
export interface SaveRequest {
  readonly run: string;
  readonly seqId: number;
  readonly kind: NamedKind;
  readonly name: string;
  readonly ttlSeconds: number | null;
  /** A checkpoint of that name goes. */
  readonly overwrite: boolean;
  /** Of `weights`: whether the optimizer's state goes along, for who goes on from it. Absent: it does. */
  readonly optimizer?: boolean;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
}

/** Weights of a run for a new sampler of its session, under no name. */
export interface HandOverRequest {
  readonly run: string;
  readonly seqId: number;
  readonly samplerSeqId: number;
  /** The weights change with the next such hand-over, for all samplers of the run that follow. */
  readonly follows: boolean;
}

/** A checkpoint to be had once more, of a run that nobody trains. */
export interface CopyRequest {
  readonly from: CheckpointPath;
  /** Id of that run. */
  readonly run: string;
  readonly ttlSeconds: number | null;
  /** By whose right it is read. */
  readonly reader: string;
}

/** A file of a checkpoint. */
export interface CheckpointFile {
  readonly name: string;
  /** Where it lies. */
  readonly path: string;
  readonly bytes: number;
}

/** A new run that goes on from a checkpoint. */
export interface ResumeRequest {
  readonly session: string;
  readonly seqId: number;
  readonly from: CheckpointPath;
  /** By whose right it is read. */
  readonly reader: string;
  /** With the optimizer's state. */
  readonly optimizer: boolean;
  readonly userMetadata: Readonly<Record<string, unknown>> | null;
}

/** A run whose weights are replaced by a checkpoint's. */
export interface LoadRequest {
  readonly run: string;
  readonly seqId: number;
  readonly from: CheckpointPath;
  /** By whose right it is read. */
  readonly reader: string;
  readonly optimizer: boolean;
}

/**
 * What was saved. All but `of` throw `CHECKPOINT_NOT_FOUND` for what is not there, or not the tenant's. Those that return promises may reject with
 * `STORAGE_FAILED`, too: then it is as it was.
 */
export interface CheckpointRegistry {
  /** A tenant's own, oldest first. */
  of(tenant: string): readonly Checkpoint[];
  /** One of the tenant's own, or a public one. */
  readable(tenant: string, path: CheckpointPath): Checkpoint;
  remove(tenant: string, path: CheckpointPath): Promise<void>;
  publish(tenant: string, path: CheckpointPath, isPublic: boolean): Promise<void>;
  /** @param seconds from now on; null: for ever */
  keepFor(tenant: string, path: CheckpointPath, seconds: number | null): Promise<void>;
  /** Storage is shared where the file system can. The same once more is the same copy. @throws also `INVALID_REQUEST` for a name that another has */
  copy(tenant: string, request: CopyRequest): Promise<Checkpoint>;
  /** What whoever loads it elsewhere needs. The files may have to be brought first. */
  list(tenant: string, path: CheckpointPath): readonly CheckpointFile[];
  /** Have its files on this machine. Null: they are. */
  bring(tenant: string, path: CheckpointPath): Promise<void> | null;
}
