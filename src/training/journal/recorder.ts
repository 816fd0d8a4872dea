/** What those whose state is kept need of the journal. */
import type { TrainingRecord } from './records.js';

export interface Recorder {
  /** Write it with the next flush. @returns the segment that it lies in */
  append(record: TrainingRecord): number;
  /** @throws why nothing new can be promised: `JOURNAL_FAILED`, `CONFIG_INVALID`, `DRAINING` */
  checkWritable(): void;
  /** To be asked before something is said not to be there. @throws `NOT_READY` while what was kept cannot be read */
  checkRead(): void;
}

/** Nothing is kept. */
export const UNRECORDED: Recorder = { append: () => 0, checkWritable() {}, checkRead() {} };
