/** Where bytes of an object are, outside of this box's memory: in a file here, or with another box. Types only. */
import type { Memory } from './slab-store.js';

export interface Source {
  readonly bytes: number;
  /** Id of the node that has it; null: this box's disk. */
  readonly node: string | null;
  /**
   * Copy all of it; when this has settled, nothing writes to `to` any more. It stays here until {@link remove}.
   * @param signal nobody wants it any more: may be heeded, and then rejects
   * @throws `STORAGE_FAILED` of this box's disk, `OBJECT_LOST` of another box that does not have it, …
   */
  read(to: Memory, signal?: AbortSignal): Promise<void>;
  /** Not needed any more: called once, maybe while it is read. Never throws. */
  remove(): void;
  /** Whether it can never be read any more: its box has left. Absent: it can. */
  isLost?(): boolean;
}
