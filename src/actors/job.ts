/** For whom workers work: what a driver said of itself, which holds for every worker that works for it, however far down. */
import { TwinkleError } from '../errors.js';
import type { Demand, Join, Setup } from '../protocol/work.js';
import type { Masked } from './masks.js';
import type { Surroundings } from './runtime-envs.js';
import type { Seat } from './seats.js';

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

/** What a worker is told before it works for a job. What was asked of its surroundings its own tasks and actors inherit. */
export function setupOf(
  job: Job,
  { env, devices, facts }: Masked & Pick<Seat, 'facts'>,
  { env: variables, runtime_env }: Pick<Demand, 'env' | 'runtime_env'>,
  { cwd, firstPath }: Pick<Surroundings, 'cwd' | 'firstPath'>,
): Setup {
  return {
    ...{ sys_path: [...job.sysPath], cwd, namespace: job.namespace, env: { ...env }, devices },
    ...{ job: job.driver, ...facts },
    ...(firstPath.length === 0 ? {} : { first_path: [...firstPath] }),
    ...(Object.keys(variables).length === 0 ? {} : { env_vars: variables }),
    ...(runtime_env === undefined ? {} : { runtime_env }),
  };
}
