/** Where runs are, and who has them there: what a run knows of the ranks that it shares. */
import type { Run } from './run.js';
import type { Trainer } from './trainer.js';
import type { TrainerQueue } from './trainer-queue.js';

/** Where a run's work goes. */
export interface RunPlace {
  readonly trainer: Trainer;
  readonly queue: TrainerQueue;
}

/** Who brings runs to their ranks, and takes them off. */
export interface RunKeeper {
  /** There is something to do for a run that is not on its ranks. */
  wanted(run: Run): void;
  /** It is on its ranks, and has something to do from now on. */
  busy(run: Run): void;
  /** It is on its ranks, and has nothing to do. */
  idle(run: Run): void;
  /** Its weights are gone, or not wanted any more. */
  lost(run: Run): void;
}
