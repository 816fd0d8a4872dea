/** A key's runs as lists show them: those of living sessions, and those of which something was saved. */
import type { Checkpoint } from '../../training/types/checkpoints.js';
import type { RunInfo } from '../../training/types.js';
import { countOf, type TinkerCall } from './route.js';
import { shapeOf } from './run-shape.js';

/** What is listed of a run. */
export type ListedRun = Pick<RunInfo, 'id' | 'baseModel' | 'rank' | 'corrupted' | 'lastRequest' | 'userMetadata'>;

/** A run, and what there is of it. */
export interface SavedRun {
  readonly run: ListedRun;
  /** What was saved of it last, to go on from and to sample from. */
  readonly last: Checkpoint | null;
  readonly lastSampler: Checkpoint | null;
}

/** Those of living sessions, and those of which something was saved. */
export function savedRuns({ tenant, training }: Pick<TinkerCall, 'tenant' | 'training'>): SavedRun[] {
  const saved = new Map<string, Checkpoint>();
  const last = new Map<string, Checkpoint>();
  for (const checkpoint of training.checkpoints.of(tenant)) {
    saved.set(checkpoint.path.run, checkpoint);
    last.set(`${checkpoint.path.run}/${checkpoint.path.kind}`, checkpoint);
  }
  const living = training.runs(tenant);
  const known = new Set(living.map(({ id }) => id));
  const ended = [...saved.values()].filter(({ path }) => !known.has(path.run));
  return [
    ...ended.map(({ path, run, runMetadata, time }) => ({
      id: path.run,
      baseModel: run.baseModel,
      rank: run.rank,
      corrupted: false,
      lastRequest: time,
      userMetadata: runMetadata,
    })),
    ...living,
  ].map((run) => ({
    run,
    last: last.get(`${run.id}/weights`) ?? null,
    lastSampler: last.get(`${run.id}/sampler_weights`) ?? null,
  }));
}

/** One of them. Throws `RUN_NOT_FOUND`. */
export function savedRun(call: Pick<TinkerCall, 'tenant' | 'training'>, id: string): SavedRun {
  const found = savedRuns(call).find(({ run }) => run.id === id);
  // Says that there is none.
  return found ?? { run: call.training.run(call.tenant, id), last: null, lastSampler: null };
}

/** What was saved of it. */
export function savedOf(
  { tenant, training }: Pick<TinkerCall, 'tenant' | 'training'>,
  id: string,
): readonly Checkpoint[] {
  return training.checkpoints.of(tenant).filter(({ path }) => path.run === id);
}

/** The fields of a run in lists. @param checkpointOf those of a checkpoint */
export function runFields({ last, lastSampler, run }: SavedRun, checkpointOf: (one: Checkpoint) => object): object {
  return {
    training_run_id: run.id,
    base_model: run.baseModel,
    model_owner: 'me',
    ...shapeOf(run.rank),
    corrupted: run.corrupted,
    last_request_time: iso(run.lastRequest),
    last_checkpoint: last === null ? null : checkpointOf(last),
    last_sampler_checkpoint: lastSampler === null ? null : checkpointOf(lastSampler),
    user_metadata: run.userMetadata,
  };
}

export const iso = (ms: number): string => new Date(ms).toISOString();

/** A page of a list, and where it is in it. */
export function page<T>({ request }: Pick<TinkerCall, 'request'>, all: readonly T[]) {
  const limit = countOf(request, 'limit', 20);
  const offset = countOf(request, 'offset', 0);
  return { items: all.slice(offset, offset + limit), cursor: { offset, limit, total_count: all.length } };
}
