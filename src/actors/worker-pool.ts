/**
 * WorkerProcess processes: forked ahead from a template that has imported what all of them need, given to who asks, used again for the same work, and
 * ended. Knows processes and their first words; what they compute is others' business.
 */
import { TwinkleError } from '../errors.js';
import type { Setup } from '../protocol/work.js';
import type { RankLauncher } from '../supervisor/launcher.js';
import type { Job } from './job.js';
import { Launchers } from './launchers.js';
import { startWorker, type WorkerOptions, type WorkerProcess } from './worker-process.js';

export interface WorkerPoolOptions extends WorkerOptions {
  /** What forks them, by interpreter; asked once for each, and again when that has ended for want of use. */
  launcher(python: string): RankLauncher;
  /** A number for a client. */
  nextClient(): number;
  /** It has joined: let it in. */
  welcome(worker: WorkerProcess): void;
  /** Workers that wait, ready, for new work of any kind, by interpreter; and those that wait for the same work again, by that work. */
  readonly spare: number;
}

/** A worker that has not joined by then never will. */
const JOIN_MS = 60_000;
/** Workers that wait for the same work again, of all works together: the one that has waited for longest ends first. */
const MOST_IDLE = 8;

export class WorkerPool implements AsyncDisposable {
  readonly #options: WorkerPoolOptions;
  readonly #launchers: Launchers;
  readonly #all = new Set<WorkerProcess>();
  /** Fresh ones. */
  readonly #spare = new Set<WorkerProcess>();
  /** Used before; the one that has waited for longest comes first. */
  readonly #idle = new Set<WorkerProcess>();
  /** Spare ones on their way, by interpreter. */
  readonly #coming = new Map<string, number>();
  readonly #starts = new Set<Promise<unknown>>();
  /** Drivers whose workers are kept for their next work. */
  readonly #jobs = new Set<number>();
  readonly #closing = new AbortController();

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#launchers = new Launchers({
      launcher: (python) => options.launcher(python),
      retired: (python) => {
        for (const worker of this.#spare) if (worker.python === python) worker.kill();
      },
      after: (ms, act) => {
        const timer = setTimeout(act, ms).unref();
        return () => clearTimeout(timer);
      },
    });
  }

  /** Those that run now. */
  get workers(): ReadonlySet<WorkerProcess> {
    return this.#all;
  }

  /** A driver is there: have spare workers for it soon, and keep those that it used. */
  beginJob({ driver, python }: Pick<Job, 'driver' | 'python'>): void {
    this.#jobs.add(driver);
    this.#launchers.keep(python);
    this.#prepare(python);
  }

  /** It has left: workers that wait for its next work end. Idempotent. */
  endJob(driver: number): void {
    if (!this.#jobs.delete(driver)) return;
    for (const worker of this.#idle) if (worker.use?.driver === driver) this.#dismiss(worker);
  }

  /**
   * A worker that is set up: one that did the same work for the same driver before, a spare one, or a new one.
   * @throws `PYTHON_ENV`, `RANK_FAILED` when none can be started, `DRAINING`
   */
  async take({ driver, python }: Pick<Job, 'driver' | 'python'>, setup: Setup): Promise<WorkerProcess> {
    // Of that driver: another one's modules may be other files by now.
    const use = { driver, setup: JSON.stringify([python, setup]) };
    const used = pick(this.#idle, (worker) => isSame(worker.use, use));
    if (used !== null) return used;
    const release = this.#launchers.use(python);
    try {
      let worker = pick(this.#spare, (one) => one.python === python);
      while (worker?.usable !== true) worker = await this.#start(python);
      void worker.ended.then(release);
      this.#prepare(python);
      worker.use = use;
      worker.peer.tell('setup', setup);
      return worker;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** It has nothing to do: it waits for work of its kind, or ends when there are enough of those. */
  giveBack(worker: WorkerProcess): void {
    const { use } = worker;
    const alike = [...this.#idle].filter((other) => isSame(other.use, use)).length;
    if (!worker.usable || use === null || !this.#jobs.has(use.driver) || alike >= this.#options.spare) {
      worker.kill();
      return;
    }
    this.#idle.add(worker);
    const [oldest] = this.#idle;
    if (this.#idle.size > MOST_IDLE && oldest !== undefined) this.#dismiss(oldest);
  }

  /** Ends every worker and template; resolves when they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#jobs.clear();
    for (const worker of this.#all) worker.kill();
    await Promise.allSettled(this.#starts);
    await Promise.all([...this.#all].map(({ ended }) => ended));
    await this.#launchers[Symbol.asyncDispose]();
  }

  #prepare(python: string): void {
    const there = [...this.#spare].filter((worker) => worker.python === python).length;
    const coming = this.#coming.get(python) ?? 0;
    for (let missing = this.#options.spare - there - coming; missing > 0; missing--) {
      this.#coming.set(python, (this.#coming.get(python) ?? 0) + 1);
      const arrived = (worker: WorkerProcess | null): void => {
        this.#coming.set(python, (this.#coming.get(python) ?? 1) - 1);
        if (worker?.usable !== true) return;
        if (this.#launchers.has(python)) this.#spare.add(worker);
        else worker.kill(); // nobody needs it any more
      };
      this.#start(python).then(arrived, () => arrived(null)); // whoever needs one tries again, and hears why
    }
  }

  #start(python: string): Promise<WorkerProcess> {
    const starting = this.#begin(python);
    this.#starts.add(starting);
    const over = (): void => void this.#starts.delete(starting);
    starting.then(over, over);
    return starting;
  }

  async #begin(python: string): Promise<WorkerProcess> {
    const { signal } = this.#closing;
    this.#refuseWhenClosing();
    const worker = await startWorker(
      this.#options,
      python,
      this.#options.nextClient(),
      this.#launchers.of(python),
      signal,
    );
    this.#all.add(worker);
    void worker.ended.then(() => {
      for (const kept of [this.#all, this.#spare, this.#idle]) kept.delete(worker);
    });
    if (signal.aborted) worker.kill(); // it was being forked when the others were killed
    const late = setTimeout(() => worker.peer.close(`it did not join within ${JOIN_MS / 1000} s`), JOIN_MS).unref();
    try {
      const { kind } = await worker.peer.joined;
      if (kind !== 'worker') throw new TwinkleError('PROTOCOL', `it joined as a ${kind}`);
      this.#refuseWhenClosing();
    } catch (error) {
      worker.kill();
      const { how, logTail } = await worker.ended;
      this.#refuseWhenClosing();
      const why = error instanceof Error ? error.message : String(error);
      throw new TwinkleError(
        'RANK_FAILED',
        [`a worker ended while it started (${how}; ${why}):`, ...logTail].join('\n'),
      );
    } finally {
      clearTimeout(late);
    }
    this.#options.welcome(worker);
    return worker;
  }

  #refuseWhenClosing(): void {
    if (this.#closing.signal.aborted) throw new TwinkleError('DRAINING', 'the node service ends');
  }

  #dismiss(worker: WorkerProcess): void {
    this.#idle.delete(worker);
    worker.kill();
  }
}

/** Take out the one that was put there last. Null: there is none. */
function pick(kept: Set<WorkerProcess>, fits: (worker: WorkerProcess) => boolean): WorkerProcess | null {
  const found = [...kept].findLast((worker) => worker.usable && fits(worker));
  if (found !== undefined) kept.delete(found);
  return found ?? null;
}

function isSame(a: WorkerProcess['use'], b: WorkerProcess['use']): boolean {
  return a?.driver === b?.driver && a?.setup === b?.setup;
}
