/** Records → what there was. Pure: what becomes of it is another's. */
import type { FutureFailure, FutureResult } from '../types.js';
import {
  answerOf,
  type FutureRecord,
  type RunRecord,
  type SamplerRecord,
  type SessionRecord,
  type TrainingRecord,
} from './records.js';

/** A request, and its answer if there is one. */
export interface KeptFuture {
  readonly record: FutureRecord;
  /** Unix ms. */
  readonly answered: { readonly at: number; readonly answer: FutureResult | FutureFailure } | null;
  /** Where both lie. */
  readonly segment: number;
}

/** What there was when the last record was written. Of ended sessions only the sessions are gone: what names an unknown one is theirs. */
export class Replay {
  readonly sessions = new Map<string, SessionRecord>();
  readonly samplers = new Map<string, SamplerRecord>();
  readonly runs = new Map<string, RunRecord>();
  readonly futures = new Map<string, KeptFuture>();

  /** In the order in which they were written. Some are written again, and mean the same. */
  apply(record: TrainingRecord, segment: number): void {
    switch (record.kind) {
      case 'session':
        this.sessions.set(record.id, record);
        break;
      case 'ended':
        this.sessions.delete(record.session);
        break;
      case 'sampler':
        this.samplers.set(record.id, record);
        break;
      case 'run':
        this.runs.set(record.id, record);
        break;
      case 'ended-run':
        this.runs.delete(record.run);
        break;
      case 'future':
        // Its answer, if it is written again too, comes right behind; a write may end between the two.
        this.futures.set(record.id, { record, answered: this.futures.get(record.id)?.answered ?? null, segment });
        break;
      case 'answer': {
        const { answer, at, id } = record;
        const future = this.futures.get(id);
        // Decoded at once: texts that stay for all of the replay are what makes it slow.
        if (future !== undefined)
          this.futures.set(id, { record: future.record, answered: { at, answer: answerOf(answer) }, segment });
        break;
      }
      case 'drop':
        this.futures.delete(record.id);
        break;
    }
  }
}
