/** Runs live so long at most: what they are at their end is saved under a name, for their clients to go on from. */
import { asTwinkleError, TwinkleError } from '../errors.js';
import type { Logger } from '../observability/logger.js';
import { type CheckpointPath, pathText } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { NamedCheckpoints } from './named-checkpoints.js';
import type { Run } from './run.js';
import type { Runs } from './runs.js';
import type { Trainer } from './trainer.js';
import { writeCheckpoint } from './write-checkpoint.js';

export class RunLives {
  /** Those that end behind what they were asked for. */
  readonly #ending = new WeakSet<Run>();

  constructor(
    private readonly runs: Runs,
    private readonly checkpoints: Checkpoints,
    private readonly named: NamedCheckpoints,
    private readonly log: Logger,
  ) {}

  /**
   * End those that are older. What cannot be saved lives on, until the next time. To be called now and then.
   * @param lifeOf how long those of a model live; null: they do not end
   */
  sweep(lifeOf: (model: string) => number | null): void {
    for (const run of this.runs.all()) {
      const maxLifeMs = lifeOf(run.progress.labels.model);
      if (maxLifeMs === null || run.loss !== null || this.#ending.has(run)) continue;
      if (run.since > Date.now() - maxLifeMs) continue;
      this.#ending.add(run);
      const failed = (thrown: unknown): void => {
        this.#ending.delete(run);
        if (run.loss !== null) return;
        this.log.warn({ run: run.id, error: asTwinkleError(thrown).message }, 'training_run_not_ended');
      };
      run.last((trainer) => this.#end(run, trainer, maxLifeMs), failed);
    }
  }

  async #end(run: Run, trainer: Trainer, maxLifeMs: number): Promise<void> {
    const path: CheckpointPath = { run: run.id, kind: 'weights', name: `ended-${Date.now()}` };
    const written = await writeCheckpoint(this.checkpoints, run, path, trainer, 'all');
    if (run.loss !== null) {
      this.checkpoints.discard(written); // its session has ended meanwhile
      return;
    }
    await this.named.save(written);
    this.runs.end(run, over(run.id, maxLifeMs, path));
  }
}

function over(run: string, maxLifeMs: number, path: CheckpointPath): TwinkleError {
  return new TwinkleError(
    'RUN_NOT_FOUND',
    `run \`${run}\` has ended, as runs live ${maxLifeMs / 1000} s here: go on from \`${pathText(path)}\``,
    { param: 'model_id' },
  );
}
