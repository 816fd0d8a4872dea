/** For whom workers work: what a driver said of itself, which holds for every worker that works for it, however far down. */
import { TwinkleError } from '../errors.js';
import type { Join, Setup } from '../protocol/work.js';

export interface Job {
  /** Client number of the driver. */
  readonly driver: number;
  /** Interpreter of its workers. */
  readonly python: string;
  readonly sysPath: readonly string[];
  readonly cwd: string;
  readonly namespace: string;
}

/** The job of a driver. Throws `INVALID_REQUEST` when it names no interpreter. */
export function jobOf(driver: number, { python, sys_path: sysPath, cwd, namespace }: Join): Job {
  if (python === '') throw new TwinkleError('INVALID_REQUEST', 'expected the path of an interpreter for `python`');
  return { driver, python, sysPath, cwd, namespace };
}

/** What a worker is told before it works for a job. */
export function setupOf(job: Job, env: Readonly<Record<string, string>>, devices: Setup['devices']): Setup {
  return { sys_path: [...job.sysPath], cwd: job.cwd, namespace: job.namespace, env: { ...env }, devices };
}
