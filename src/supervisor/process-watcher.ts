/** Ends of processes as promises: the one listener of the addon, shared by every gang of this Node process. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Native, ProcessExit } from '../native/types.js';
import { type Deferred, deferred } from '../util/deferred.js';
import { processStat } from '../util/proc-stat.js';

/** Pace of looking at a process that cannot be watched. */
const LOOK_MS = 50;

const watchers = new WeakMap<Native, ProcessWatcher>();

export class ProcessWatcher {
  readonly #native: Native;
  readonly #awaited = new Map<number, Deferred<ProcessExit>>();

  /** The watcher of an addon: there is one listener per addon, however many heads live in this process. */
  static of(native: Native): ProcessWatcher {
    const known = watchers.get(native) ?? new ProcessWatcher(native);
    watchers.set(native, known);
    return known;
  }

  private constructor(native: Native) {
    this.#native = native;
    native.onExit((exit) => {
      const awaited = this.#awaited.get(exit.pid);
      this.#awaited.delete(exit.pid);
      awaited?.resolve(exit);
    });
  }

  /**
   * Resolves with the end of a process that {@link Native.spawn} started. To be called in the tick of the spawn: ends are
   * delivered in later ticks, so none is missed.
   */
  ended(pid: number): Promise<ProcessExit> {
    const known = this.#awaited.get(pid);
    if (known !== undefined) return known.promise;
    const awaited = deferred<ProcessExit>();
    this.#awaited.set(pid, awaited);
    return awaited.promise;
  }

  /**
   * Resolves when a process, ours or not, is gone (or a zombie); at once when it already is. One that cannot be watched, because
   * descriptors have run out, is looked at now and then.
   */
  async gone(pid: number): Promise<void> {
    const watched = this.#awaited.has(pid);
    const ended = this.ended(pid);
    if (!watched) {
      try {
        this.#native.watch(pid);
      } catch {
        this.#awaited.delete(pid);
        while (isThere(pid)) await delay(LOOK_MS);
        return;
      }
    }
    await ended;
  }
}

/** Asks the kernel first: reading /proc takes a descriptor. */
function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  const stat = processStat(pid);
  return stat === null || (stat.state !== 'Z' && stat.state !== 'X');
}
