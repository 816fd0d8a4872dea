/** Copies of runs that are off the ranks, with all that going on takes. Knows nothing of who has to go, and when. */
import type { CheckpointPath } from './checkpoint-path.js';
import type { Checkpoints } from './checkpoints.js';
import type { Recorder } from './journal/recorder.js';
import type { Run } from './run.js';
import type { Trainer } from './trainer.js';
import type { Checkpoint } from './types/checkpoints.js';
import { writeCheckpoint } from './write-checkpoint.js';

/** A copy that counts from its {@link ParkedRuns.record} on. */
export type Copy = Omit<Checkpoint, 'next' | 'lastRequest' | 'gradientDropped' | 'progress'>;

const pathOf = (run: string): CheckpointPath => ({ run, kind: 'parked', name: 'run' });

export class ParkedRuns {
  /** Copies of servers before this one whose runs are gone have been looked for. */
  #cleaned = false;

  constructor(private readonly checkpoints: Checkpoints) {}

  /** What the ranks have of it. @throws what they say, or the disk */
  async write(run: Run, trainer: Trainer): Promise<Copy> {
    return await writeCheckpoint(this.checkpoints, run, pathOf(run.id), trainer, 'all');
  }

  /** From now on the run is what was written. */
  record(run: Run, copy: Copy): void {
    // A gradient is no part of a copy.
    const gradientDropped = run.unstepped || run.gradientDropped;
    const { lastRequest, next } = run;
    this.checkpoints.add({ ...copy, next, lastRequest, gradientDropped, progress: run.progress.kept() });
  }

  /** Null: there is none. */
  find({ id, session }: Pick<Run, 'id' | 'session'>): Checkpoint | null {
    return this.checkpoints.find(session.tenant, pathOf(id));
  }

  /** The run is more than its copy from now on: no server after this one may take it for the run. */
  outdate(copy: Checkpoint): void {
    this.checkpoints.forget(copy, true);
  }

  discard(copy: Copy): void {
    this.checkpoints.discard(copy);
  }

  /** The run is no more. */
  drop(run: Run): void {
    const copy = this.find(run);
    if (copy === null) return;
    this.checkpoints.forget(copy);
    this.checkpoints.discard(copy);
  }

  /** Once, when what there was before is known again: remove what no run has. */
  clean(known: (run: string) => boolean, recorder: Recorder): void {
    if (this.#cleaned || !this.checkpoints.scanned) return;
    try {
      recorder.checkRead();
    } catch {
      return; // what there was cannot be read yet
    }
    this.#cleaned = true;
    for (const copy of this.checkpoints.ofKind('parked')) {
      if (known(copy.path.run)) continue;
      this.checkpoints.forget(copy);
      this.checkpoints.discard(copy);
    }
  }
}
