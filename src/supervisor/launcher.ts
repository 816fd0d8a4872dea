/** How a rank's process comes to be: an interpreter of its own (`DirectLauncher`), or a fork of a template that has imported already. */
import type { Native } from '../native/types.js';
import type { LaunchSpec } from '../protocol/launch.js';
import type { ProcessWatcher } from './process-watcher.js';

/** Descriptors are lent: the caller closes its copies after the launch. */
export interface LaunchRequest {
  /** Numbers of descriptors are filled in by the launcher. */
  readonly launch: Omit<LaunchSpec, 'death_fd' | 'pass_fd' | 'listen_fd' | 'link_fds'>;
  readonly deathFd: number;
  readonly passFd: number;
  readonly listenFd: number | null;
  readonly logFd: number;
  readonly linkFds: readonly number[];
  /** The gang is being torn down: a launch that has made no process yet rejects, one that has tells its pid as ever. */
  readonly cancelled: AbortSignal;
}

export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: number | null;
  readonly maxRssKb: number;
}

/** A started rank; it leads its own process group. */
export interface RunningRank {
  readonly pid: number;
  readonly ended: Promise<ProcessEnd>;
}

export interface RankLauncher extends AsyncDisposable {
  /** Begin whatever makes later launches fast. Failures show at the launch. */
  prepare(): void;
  /** Start a rank. Rejects with `PYTHON_ENV` when the interpreter cannot run our code. */
  launch(request: LaunchRequest): Promise<RunningRank>;
}

/** Where engine processes run. */
export interface PythonRuntime {
  /** Path of the interpreter. */
  readonly python: string;
  /** Environment of every process of the engine. */
  readonly env: Readonly<Record<string, string>>;
  /** See {@link SpawnOptions.parentDeathSignal}. */
  readonly parentDeathSignal: boolean;
}

/** `KEY=value` lines, as execve wants them. */
export function environmentLines(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([key, value]) => `${key}=${value}`);
}

const DEATH_FD = 3;
const PASS_FD = 4;
const LISTEN_FD = 5;
const FIRST_LINK_FD = 6;

export class DirectLauncher implements RankLauncher {
  constructor(
    private readonly native: Native,
    private readonly watcher: ProcessWatcher,
    private readonly runtime: PythonRuntime,
  ) {}

  prepare(): void {
    // Nothing to do ahead: the interpreter starts with the rank.
  }

  async launch(request: LaunchRequest): Promise<RunningRank> {
    const spec: LaunchSpec = {
      ...request.launch,
      death_fd: DEATH_FD,
      pass_fd: PASS_FD,
      listen_fd: request.listenFd === null ? -1 : LISTEN_FD,
      link_fds: request.linkFds.map((_, at) => FIRST_LINK_FD + at),
    };
    const env = { ...this.runtime.env, ...request.launch.env, TWINKLE_LAUNCH: JSON.stringify(spec) };
    const pid = this.native.spawn({
      file: this.runtime.python,
      args: ['-m', 'twinkle_worker'],
      env: environmentLines(env),
      cwd: null,
      fds: [
        [1, request.logFd],
        [2, request.logFd],
        [DEATH_FD, request.deathFd],
        [PASS_FD, request.passFd],
        ...(request.listenFd === null ? [] : [[LISTEN_FD, request.listenFd] as const]),
        ...request.linkFds.map((fd, at) => [FIRST_LINK_FD + at, fd] as const),
      ],
      parentDeathSignal: this.runtime.parentDeathSignal,
      cpus: null,
    });
    return { pid, ended: this.watcher.ended(pid) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing outlives a launch.
  }
}
