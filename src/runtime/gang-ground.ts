/** What gangs of one model stand on, whether they serve or train it: who launches their ranks, with which variables, where they log. Wiring only. */
import { join } from 'node:path';
import type { ModelConfig, SupervisionConfig } from '../config/types.js';
import { ENGINE_SPECS } from '../engines/specs.js';
import { threadDefault } from '../engines/thread-default.js';
import type { GangDependencies, GangSpec } from '../supervisor/launch-ranks.js';
import { DirectLauncher, type PythonRuntime, type RankLauncher } from '../supervisor/launcher.js';
import { fileName } from '../util/file-name.js';
import type { WarmPool } from './warm-pool.js';

/** A rank that says nothing for so long is taken for dead. */
const SILENCE_MS = 30_000;

/** What all gangs of a head have. */
export interface GangContext extends Omit<GangDependencies, 'launcher' | 'logPath'> {
  readonly python: PythonRuntime;
  readonly logFolder: string;
  readonly supervision: SupervisionConfig;
  readonly pool: WarmPool;
}

/** What those of one model have. */
export interface GangGround {
  /** Other models may have the same. */
  readonly launcher: RankLauncher;
  readonly dependencies: GangDependencies;
  readonly patience: Pick<GangSpec, 'breaker' | 'phaseTimeoutMs' | 'silenceMs' | 'stallMs'>;
}

/** @param of the model; the engine is the one that its code comes from */
export function gangGround(
  of: Pick<ModelConfig, 'engine' | 'model' | 'placement' | 'envVars'>,
  common: GangContext,
): GangGround {
  const context = withOwnVariables(common, of);
  const { logFolder, native, pool, python, supervision, watcher } = context;
  const launcher: RankLauncher = ENGINE_SPECS[of.engine].warm
    ? pool.launcher(of.engine, python, of.model)
    : new DirectLauncher(native, watcher, python);
  const logPath = (spec: GangSpec, rank: number): string =>
    join(logFolder, `${fileName(spec.id)}-${spec.ownEngine && rank === spec.worldSize ? 'engine' : `rank${rank}`}.log`);
  const patience = {
    breaker: { limit: supervision.crashLoopLimit, windowMs: supervision.crashLoopWindowMs },
    phaseTimeoutMs: supervision.phaseTimeoutMs,
    silenceMs: SILENCE_MS,
    stallMs: supervision.stepTimeoutMs,
  };
  return { launcher, dependencies: { ...context, launcher, logPath }, patience };
}

/** The model's own variables come over the inherited ones, and never over those that tie its processes to this server. */
function withOwnVariables(
  context: GangContext,
  of: Pick<ModelConfig, 'engine' | 'model' | 'placement' | 'envVars'>,
): GangContext {
  const { python } = context;
  const { envVars: own } = of;
  const { PYTHONPATH = '' } = python.env;
  const env = {
    ...threadDefault(of),
    ...python.env,
    ...own,
    PYTHONPATH: own.PYTHONPATH === undefined ? PYTHONPATH : `${PYTHONPATH}:${own.PYTHONPATH}`,
  };
  return { ...context, inherited: { ...context.inherited, ...own }, python: { ...python, env } };
}
