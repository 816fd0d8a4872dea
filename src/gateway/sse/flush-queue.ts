/**
 * Which streams have text to send. Streams that gain tokens in one turn of the event loop are written together at its end,
 * each in one system call however many events it gained; under light load that is still the same turn.
 */

/** Something with pending text. */
export interface Flushable {
  /** @param now `performance.now()` of this flush, read once for all streams. */
  flush(now: number): void;
}

/** One per gateway. */
export class FlushQueue {
  private dirty: Flushable[] = [];
  private spare: Flushable[] = [];

  private readonly run = (): void => {
    const batch = this.dirty;
    this.dirty = this.spare;
    const now = performance.now();
    for (let index = 0; index < batch.length; index += 1) (batch[index] as Flushable).flush(now);
    batch.length = 0;
    this.spare = batch;
  };

  /** Flush it at the end of this turn. The caller adds itself once until it is flushed. */
  add(stream: Flushable): void {
    if (this.dirty.length === 0) setImmediate(this.run);
    this.dirty.push(stream);
  }
}
