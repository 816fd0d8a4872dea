/**
 * What forks workers, by interpreter. Those of drivers stay, for the next program; those of environments end when nobody has used them for a
 * minute, or more of them than a few wait: each is a process that has imported what workers need.
 */
import type { RankLauncher } from '../supervisor/launcher.js';

export interface LaunchersOptions {
  /** What forks workers of that interpreter; asked again after it was retired. */
  launcher(python: string): RankLauncher;
  /** Nobody uses it any more. It is about to end: what waits there should, too. */
  retired(python: string): void;
  /** Call once after so many ms; returns how to call it off. */
  after(ms: number, act: () => void): () => void;
}

/** The next run of a program, or of a loop's body, finds it; longer it would only take memory. */
const KEEP_MS = 60_000;
/** Those that wait, unused. */
const MOST_UNUSED = 4;

export class Launchers implements AsyncDisposable {
  readonly #options: LaunchersOptions;
  readonly #launchers = new Map<string, RankLauncher>();
  readonly #kept = new Set<string>();
  readonly #uses = new Map<string, number>();
  /** How to call off their end; the one unused for longest comes first. */
  readonly #unused = new Map<string, () => void>();
  readonly #ending = new Set<Promise<unknown>>();

  constructor(options: LaunchersOptions) {
    this.#options = options;
  }

  /** Whether it was used and has not been retired. */
  has(python: string): boolean {
    return this.#launchers.has(python);
  }

  of(python: string): RankLauncher {
    const known = this.#launchers.get(python);
    if (known !== undefined) return known;
    const launcher = this.#options.launcher(python);
    this.#launchers.set(python, launcher);
    return launcher;
  }

  /** A driver runs on it: it stays. */
  keep(python: string): void {
    this.#kept.add(python);
    this.#wanted(python);
  }

  /** Somebody needs its workers, until the function that is returned is called. */
  use(python: string): () => void {
    this.#wanted(python);
    this.#uses.set(python, (this.#uses.get(python) ?? 0) + 1);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = (this.#uses.get(python) ?? 1) - 1;
      if (left > 0) this.#uses.set(python, left);
      else {
        this.#uses.delete(python);
        if (!this.#kept.has(python)) this.#rest(python);
      }
    };
  }

  /** Ends all; resolves when they are gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const callOff of this.#unused.values()) callOff();
    this.#unused.clear();
    for (const python of [...this.#launchers.keys()]) this.#end(python);
    await Promise.all(this.#ending);
  }

  #wanted(python: string): void {
    this.#unused.get(python)?.();
    this.#unused.delete(python);
  }

  #rest(python: string): void {
    this.#unused.set(
      python,
      this.#options.after(KEEP_MS, () => this.#retire(python)),
    );
    const [oldest] = this.#unused.keys();
    if (this.#unused.size > MOST_UNUSED && oldest !== undefined) this.#retire(oldest);
  }

  #retire(python: string): void {
    this.#wanted(python);
    this.#options.retired(python);
    this.#end(python);
  }

  #end(python: string): void {
    const launcher = this.#launchers.get(python);
    if (launcher === undefined) return;
    this.#launchers.delete(python);
    const end = Promise.resolve(launcher[Symbol.asyncDispose]()).finally(() => this.#ending.delete(end));
    this.#ending.add(end);
  }
}
