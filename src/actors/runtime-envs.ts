/**
 * What workers find around them, by `runtime_env`: an interpreter with the packages that were asked for, and folders that were put. One environment
 * is made once for all who wait for it, and no longer than somebody waits. How it is made is others' business.
 */
import { TwinkleError } from '../errors.js';
import type { Demand, RuntimeEnv } from '../protocol/work.js';
import { deferred } from '../util/deferred.js';
import type { FolderStore } from './folder-store.js';
import type { Job } from './job.js';

/** An environment as wanted. */
export interface WantedEnvironment extends Pick<RuntimeEnv, 'packages' | 'options' | 'stamp'> {
  /** Interpreter of the driver. */
  readonly python: string;
}

/** Find it, or make it. Resolves with its interpreter. Throws `RUNTIME_ENV`, the signal's reason. */
export type MakeEnvironment = (
  wanted: WantedEnvironment,
  told: (step: string) => void,
  signal: AbortSignal,
) => Promise<string>;

/** Where a worker runs, and what it finds there. */
export interface Surroundings {
  readonly python: string;
  readonly cwd: string;
  /** Before all else in its sys.path. */
  readonly firstPath: readonly string[];
}

/** Surroundings that were asked for. */
export interface Preparation {
  /** What they wait for, for people; null: nothing. */
  readonly reason: string | null;
  /** @throws `RUNTIME_ENV`, the signal's reason */
  ready(signal: AbortSignal): Promise<Surroundings>;
}

interface Making {
  readonly made: Promise<string>;
  readonly over: AbortController;
  readonly progress: { step: string };
  /** Those who wait for it. */
  waiting: number;
}

export class RuntimeEnvs implements AsyncDisposable {
  readonly #make: MakeEnvironment;
  /** Under way. */
  readonly #making = new Map<string, Making>();
  readonly #ending = new Set<Promise<unknown>>();

  constructor(
    make: MakeEnvironment,
    readonly folders: FolderStore,
  ) {
    this.#make = make;
  }

  /** Ask for the surroundings of a worker. Nothing begins before `ready`. */
  prepare(job: Job, { runtime_env: wanted }: Pick<Demand, 'runtime_env'>): Preparation {
    const plain = { python: job.python, cwd: job.cwd, firstPath: [] };
    if (wanted === undefined) return { reason: null, ready: async () => plain };
    let making: Making | null = null;
    return {
      get reason() {
        return making === null ? null : `its environment is being made: ${making.progress.step}`;
      },
      ready: async (signal) => {
        const folders = keysOf(wanted).map((key) => this.folders.path(key));
        const around = {
          ...plain,
          firstPath: folders,
          ...(wanted.folder === '' ? {} : { cwd: folders[0] ?? job.cwd }),
        };
        if (wanted.packages.length === 0) return around;
        making = this.#environment(job.python, wanted);
        try {
          return { ...around, python: await this.#wait(making, signal) };
        } finally {
          making = null;
        }
      },
    };
  }

  /** That actor needs its folders until `folders.letGo`. */
  keep(actor: string, { runtime_env: wanted }: Pick<Demand, 'runtime_env'>): void {
    if (wanted !== undefined) this.folders.keep(actor, keysOf(wanted));
  }

  /** Makes no more; resolves when nothing is left of what was under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { over } of this.#making.values()) over.abort(new TwinkleError('DRAINING', 'the node service ends'));
    await Promise.allSettled(this.#ending);
    await this.folders[Symbol.asyncDispose]();
  }

  #environment(python: string, { packages, options, stamp }: RuntimeEnv): Making {
    const key = JSON.stringify([python, packages, options, stamp]);
    const known = this.#making.get(key);
    if (known !== undefined && !known.over.signal.aborted) return known;
    const over = new AbortController();
    const progress = { step: 'it begins' };
    const told = (step: string): void => {
      progress.step = step;
    };
    const made = this.#make({ python, packages, options, stamp }, told, over.signal);
    const making: Making = { made, over, progress, waiting: 0 };
    this.#making.set(key, making);
    const end = made.then(
      () => this.#forget(key, making),
      () => this.#forget(key, making),
    );
    this.#ending.add(end);
    void end.then(() => this.#ending.delete(end));
    return making;
  }

  /** The next who asks tries again, or finds it made. */
  #forget(key: string, making: Making): void {
    if (this.#making.get(key) === making) this.#making.delete(key);
  }

  async #wait(making: Making, signal: AbortSignal): Promise<string> {
    const withdrawn = deferred<never>();
    const withdraw = (): void => withdrawn.reject(signal.reason);
    making.waiting += 1;
    signal.addEventListener('abort', withdraw, { once: true });
    try {
      signal.throwIfAborted();
      return await Promise.race([making.made, withdrawn.promise]);
    } finally {
      signal.removeEventListener('abort', withdraw);
      making.waiting -= 1;
      if (making.waiting === 0) making.over.abort(new TwinkleError('ABORTED', 'nobody waits for it any more'));
    }
  }
}

/** Of the folders among it, the working directory first. */
export function keysOf({ folder, modules }: RuntimeEnv): string[] {
  return folder === '' ? [...modules] : [folder, ...modules];
}
