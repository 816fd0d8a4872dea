/** Whether a start without a head can find its places at all: asked before Python is made ready, which may take minutes. */
import { PYTHON_WORKERS } from '../config/package-root.js';
import type { ServeConfig } from '../config/types.js';
import type { CpuInfo } from '../native/types.js';
import { fromUnits } from '../scheduler/resources.js';
import { ownIdentity } from './identity.js';
import { localSpec } from './local-node.js';
import { type Plan, type PlanGround, planPlacement } from './plan.js';

/** The plan of a start on this machine. */
export function planHere(config: ServeConfig, cpu: CpuInfo, env: PlanGround['env']): Plan {
  const node = localSpec(ownIdentity(), config.node, cpu);
  const cpus = fromUnits(node.total.get('CPU') ?? 0);
  return planPlacement(config, { nodes: [node], cpus, env, pythonPath: PYTHON_WORKERS });
}

/** @throws `INFEASIBLE` with why each node refuses, `PLACEMENT_INVALID` */
export function refuseUnplaceable(config: ServeConfig, cpu: CpuInfo): void {
  const { refusal } = planHere(config, cpu, {});
  if (refusal !== null) throw refusal;
}
