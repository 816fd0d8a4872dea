/** What a training service is made of. */
import type { Logger } from '../observability/logger.js';
import type { Inference } from '../serving/types.js';
import type { Admissions } from './admission.js';
import type { CheckpointStore } from './checkpoint-store.js';
import type { TrainingRules } from './limits.js';
import type { SamplingHost } from './sampling-host.js';
import type { TrainerHost } from './trainer.js';

export interface ServiceOptions {
  readonly inference: Inference;
  readonly trainers: TrainerHost;
  readonly sampling: SamplingHost;
  /** Made with the first save. */
  readonly checkpointFolder: string;
  /** Where those that clients can name are kept. Default: in the folder alone. */
  readonly checkpointStore?: CheckpointStore | null;
  /** Made with the first session. Default: nothing but checkpoints outlives the process. */
  readonly journalFolder?: string;
  /** Default: `DEFAULT_RULES`. */
  readonly rules?: Partial<TrainingRules>;
  /** Default: none limits anything. */
  readonly admissions?: Admissions;
  /** Names of models that clients may ask for. Default: all there are. */
  readonly supported?: readonly string[] | null;
  /** Default: says nothing. */
  readonly log?: Logger;
  nowMs(): number;
}
