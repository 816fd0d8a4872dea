/** Runs and checkpoints together: what is saved, and what goes on from it. */
import { TwinkleError } from '../errors.js';
import { type CheckpointPath, checkName, type NamedKind, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import type { Session } from './sessions.js';
import type { Checkpoint, LoadRequest, ResumeRequest, SaveRequest } from './types/checkpoints.js';
import { writeCheckpoint } from './write-checkpoint.js';

/** The `type` of the answer, as the SDK knows it. */
const ANSWER: Record<NamedKind, string> = {
  weights: 'save_weights',
  sampler_weights: 'save_weights_for_sampler',
  external_weights: 'save_weights_external',
};

export class Saving {
  constructor(
    private readonly runs: Runs,
    private readonly checkpoints: Checkpoints,
  ) {}

  save(tenant: string, request: SaveRequest): string {
    const { kind, name, overwrite, run: id, seqId, ttlSeconds, userMetadata } = request;
    const path: CheckpointPath = { run: id, kind, name: checkName(name) };
    return this.runs.ask(tenant, id, seqId, (run, future) =>
      run.order(seqId, future, async (trainer) => {
        // In its turn: the one before it may have the same name.
        if (!overwrite) this.checkpoints.checkFree(path);
        this.checkpoints.checkRoom(tenant, path, 1); // how large it is, only writing tells
        const contents = kind === 'weights' ? 'all' : 'weights';
        const written = await writeCheckpoint(this.checkpoints, run, path, trainer, contents);
        this.#keepWithin(written);
        this.checkpoints.add({ ...written, expires: this.checkpoints.until(ttlSeconds), userMetadata });
        return { path: pathText(path), size_bytes: written.bytes, type: ANSWER[kind] };
      }),
    );
  }

  #keepWithin(written: Checkpoint): void {
    const { bytes, path, tenant } = written;
    try {
      this.checkpoints.checkRoom(tenant, path, bytes);
    } catch (error) {
      this.checkpoints.discard(written);
      throw error;
    }
  }

  /** @param served the served name of a base model; throws `MODEL_NOT_FOUND` */
  resume(session: Session, request: ResumeRequest, served: (baseModel: string) => string): Run {
    const { from, optimizer, reader, seqId, userMetadata } = request;
    const { folder, run } = this.checkpoints.readable(reader, from);
    const spec = { ...run, session: session.id, seqId, userMetadata };
    return this.runs.create(session, spec, served(run.baseModel), { folder, optimizer });
  }

  load(tenant: string, { from, optimizer, reader, run: id, seqId }: LoadRequest): string {
    const { folder, run: saved } = this.checkpoints.readable(reader, from);
    const { baseModel, rank } = this.runs.get(tenant, id).spec;
    if (saved.baseModel !== baseModel || saved.rank !== rank) {
      throw new TwinkleError(
        'INVALID_REQUEST',
        `checkpoint \`${pathText(from)}\` is of \`${saved.baseModel}\` with rank ${saved.rank}, this run of \`${baseModel}\` with rank ${rank}: begin a run from it`,
        { param: 'path' },
      );
    }
    return this.runs.ask(tenant, id, seqId, (run, future) =>
      run.order(seqId, future, async (trainer) => {
        await trainer.call('train_load', { run: id, folder, optimizer });
        run.unstepped = false;
        return { path: pathText(from), model_id: id, type: 'load_weights' };
      }),
    );
  }
}
