/** What the parts of this folder hand to each other. */
import type { EngineName } from '../config/types.js';

/** What an environment is for: the ranks of an engine, or workers of actors and tasks. */
export type EnvironmentName = EngineName | 'actors';

/** A Python that can run an engine's ranks. */
export interface PythonEnvironment {
  /** Path of the interpreter. */
  readonly python: string;
  readonly engine: EnvironmentName;
  /** Package → version, with `python` itself. */
  readonly versions: Readonly<Record<string, string>>;
  /** `user`: --python or TWINKLE_PYTHON; `managed`: made by setup. */
  readonly source: 'user' | 'managed';
}

/** Which build of torch an environment holds; `ascend`: one that drives NPUs, which belongs to the user's CANN and is never made here. */
export type Flavour = 'cpu' | 'cuda' | 'ascend';

/** How a program ended and what it wrote. */
export interface RunResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  /** The last 64 KiB. */
  readonly stderr: string;
}

export interface RunOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal?: AbortSignal;
  /** Called with every line of stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void;
  /** Kill it after so many ms. */
  readonly timeoutMs?: number;
  /** Its descriptor 3 reads the end of file when this process is gone. Default false. */
  readonly lifeline?: boolean;
}

/** Runs a program to its end. Rejects only when it cannot be started (ENOENT) or the signal aborts. */
export type Run = (file: string, args: readonly string[], options: RunOptions) => Promise<RunResult>;

/** Told what is going on while an environment is made. */
export interface SetupProgress {
  /** A new step begins. */
  step(text: string): void;
  /** A passing detail of the step, such as the package under way. */
  detail(text: string): void;
}
