/** The adapters of one model: which there are, who uses them, which replica holds which, and which has to go. Pure: loads nothing. */
import { type AdapterFiles, lasting } from './adapter-source.js';
import type { ServedAdapter } from './types/control.js';

/** An adapter that is loaded or being loaded. Its uses outlive its place in the book. */
export interface AdapterRecord extends ServedAdapter {
  /** False while its first load is under way: requests may not use it yet, and it counts for the limit already. */
  readonly ready: boolean;
  readonly is3d: boolean | null;
  /** The book gives them back when the record is gone and its last use is over. */
  readonly files: AdapterFiles;
}

type Mutable = { -readonly [K in keyof AdapterRecord]: AdapterRecord[K] };

/** The right to use an adapter: while any is held, the adapter stays. */
export interface AdapterLease {
  readonly name: string;
  /** Idempotent. */
  release(): void;
}

/** What one start of a replica has in its engine: name → what it was loaded from. The same path may hold other weights later. */
interface Holding {
  readonly epoch: number;
  readonly loaded: Map<string, AdapterFiles>;
}

/** What a replica must still do to be in step. */
export interface AdapterStep {
  readonly do: 'load' | 'replace' | 'unload';
  readonly name: string;
}

export class AdapterBook {
  /** Least recently used first. */
  readonly #records = new Map<string, Mutable>();
  readonly #ids = new Map<string, number>();
  readonly #held = new Map<string, Holding>();
  readonly #idle = new Map<AdapterRecord, (() => void)[]>();
  readonly #fixed: ReadonlyMap<string, AdapterFiles>;

  /**
   * @param max adapters that a replica holds at most
   * @param fixed adapters that each engine loads by itself at its start: name → path
   * @param hidden nobody lists them: there may be more than `max` while all are in use, and no ids are kept of those that are gone
   */
  constructor(
    readonly max: number,
    fixed: ReadonlyMap<string, string> = new Map(),
    readonly hidden = false,
  ) {
    this.#fixed = new Map([...fixed].map(([name, path]) => [name, lasting(path)]));
    for (const [name, files] of this.#fixed) {
      this.add(name, files, { pinned: true, is3d: null });
      this.commit(name, { files, pinned: true, is3d: null });
    }
  }

  get size(): number {
    return this.#records.size;
  }

  get(name: string): AdapterRecord | undefined {
    return this.#records.get(name);
  }

  /** Those that requests may use, in the order of their ids. */
  list(): AdapterRecord[] {
    return [...this.#records.values()].filter(({ ready }) => ready).sort((a, b) => a.id - b.id);
  }

  /**
   * Who must go so that as many `more` fit: the least recently used that nobody uses or has pinned. Null: none needs to; undefined: one
   * would have to, and none may.
   */
  victim(more = 1): AdapterRecord | null | undefined {
    if (this.#records.size + more <= this.max) return null;
    for (const record of this.#records.values()) {
      if (record.ready && record.inUse === 0 && !record.pinned) return record;
    }
    return undefined;
  }

  /** A place for an adapter whose load begins now. There must be none of that name, and room, unless the book is of hidden ones. */
  add(name: string, files: AdapterFiles, options: { pinned: boolean; is3d: boolean | null }): AdapterRecord {
    const full = this.#records.size >= this.max && !this.hidden;
    if (this.#records.has(name) || full) throw new Error(`no place for adapter ${name}`);
    const id = this.hidden ? 0 : (this.#ids.get(name) ?? this.#ids.size + 1);
    if (!this.hidden) this.#ids.set(name, id);
    const record: Mutable = { name, path: shown(files), files, id, inUse: 0, ready: false, ...options };
    this.#records.set(name, record);
    return record;
  }

  /** Its load has succeeded; also after a load in place, which may bring other files. */
  commit(name: string, change: { files: AdapterFiles; pinned: boolean; is3d: boolean | null }): void {
    const record = this.#records.get(name);
    if (record === undefined) return;
    const { files } = record;
    Object.assign(record, change, { path: shown(change.files), ready: true });
    if (files !== change.files) files.release();
  }

  /** No request may use it from now on. Leases go on. */
  remove(name: string): void {
    const record = this.#records.get(name);
    if (record === undefined) return;
    this.#records.delete(name);
    // An engine may read them again for a request that still runs.
    this.whenIdle(record, () => record.files.release());
  }

  /** Use it; null when it is not there to be used. Makes it the most recently used. */
  lease(name: string): AdapterLease | null {
    const record = this.#records.get(name);
    if (record?.ready !== true) return null;
    this.#records.delete(name);
    this.#records.set(name, record);
    record.inUse += 1;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      record.inUse -= 1;
      if (record.inUse > 0) return;
      const waiting = this.#idle.get(record) ?? [];
      this.#idle.delete(record);
      for (const tell of waiting) tell();
    };
    return { name, release };
  }

  /** Calls `tell` when nobody uses the record any more: at once when nobody does. */
  whenIdle(record: AdapterRecord, tell: () => void): void {
    if (record.inUse === 0) tell();
    else this.#idle.set(record, [...(this.#idle.get(record) ?? []), tell]);
  }

  /** The replica's engine has loaded it from `files`. */
  hold(replica: string, epoch: number, name: string, files: AdapterFiles): void {
    this.#holding(replica, epoch)?.loaded.set(name, files);
  }

  /** The replica's engine has forgotten it. */
  drop(replica: string, epoch: number, name: string): void {
    this.#holding(replica, epoch)?.loaded.delete(name);
  }

  holds(replica: string, epoch: number, name: string): boolean {
    return this.#holding(replica, epoch)?.loaded.has(name) === true;
  }

  /** What a replica that takes no requests yet must do next to be in step with the book. Null: nothing. */
  nextStep(replica: string, epoch: number): AdapterStep | null {
    const loaded = this.#holding(replica, epoch)?.loaded;
    if (loaded === undefined) return null;
    for (const { files, name, ready } of this.#records.values()) {
      if (ready && loaded.get(name) !== files) return { do: loaded.has(name) ? 'replace' : 'load', name };
    }
    for (const name of loaded.keys()) if (this.#records.get(name)?.ready !== true) return { do: 'unload', name };
    return null;
  }

  /** A start begins with what its engine loads by itself; word of an earlier start is no longer true (null). */
  #holding(replica: string, epoch: number): Holding | null {
    const known = this.#held.get(replica);
    if (known !== undefined && known.epoch >= epoch) return known.epoch === epoch ? known : null;
    const fresh: Holding = { epoch, loaded: new Map(this.#fixed) };
    this.#held.set(replica, fresh);
    return fresh;
  }
}

function shown({ origin, path }: AdapterFiles): string {
  return origin ?? path;
}
