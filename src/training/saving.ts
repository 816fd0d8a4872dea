/** Runs and checkpoints together: what is saved, and what goes on from it. */
import { TwinkleError } from '../errors.js';
import { type CheckpointPath, checkName, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import type { Session } from './sessions.js';
import type { LoadRequest, ResumeRequest, SaveRequest } from './types.js';

export class Saving {
  constructor(
    private readonly runs: Runs,
    private readonly checkpoints: Checkpoints,
  ) {}

  save(tenant: string, request: SaveRequest): string {
    const { name, overwrite, run: id, seqId, ttlSeconds, userMetadata } = request;
    const path: CheckpointPath = { run: id, kind: 'weights', name: checkName(name) };
    return this.runs.ask(tenant, id, seqId, (run, future) =>
      run.order(seqId, future, async (trainer) => {
        // In its turn: the one before it may have the same name.
        if (!overwrite) this.checkpoints.checkFree(path);
        const folder = this.checkpoints.newFolder(tenant, path);
        const { bytes } = await trainer.call('train_save', { run: id, folder, optimizer: true });
        this.checkpoints.add({
          path,
          tenant,
          folder,
          run: shapeOf(run),
          runMetadata: run.spec.userMetadata,
          time: Date.now(),
          bytes,
          expires: this.checkpoints.until(ttlSeconds),
          public: false,
          userMetadata,
        });
        return { path: pathText(path), type: 'save_weights' };
      }),
    );
  }

  /** @param model served name of its base model */
  resume(session: Session, request: ResumeRequest, model: string): Run {
    const { from, optimizer, seqId, userMetadata } = request;
    const { folder, run } = this.checkpoints.readable(session.tenant, from);
    const spec = { ...run, session: session.id, seqId, userMetadata };
    return this.runs.create(session, spec, model, { folder, optimizer });
  }

  load(tenant: string, { from, optimizer, run: id, seqId }: LoadRequest): string {
    const { folder, run: saved } = this.checkpoints.readable(tenant, from);
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
        return { path: pathText(from), model_id: id, type: 'load_weights' };
      }),
    );
  }
}

function shapeOf({ spec: { attn, baseModel, mlp, rank, seed, unembed } }: Run) {
  return { baseModel, rank, seed, attn, mlp, unembed };
}
