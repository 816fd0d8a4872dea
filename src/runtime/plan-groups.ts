/** The groups of everything that a configuration starts, and what they are made with. Wiring only. */
import { randomBytes } from 'node:crypto';
import type { ServeConfig } from '../config/types.js';
import { placedParts } from '../engines/placed-parts.js';
import { type GroupPlan, planGroups } from '../engines/placement.js';
import type { PlacementSource } from './place-replicas.js';

export interface PlannedGroups {
  /** Of each model. */
  readonly models: readonly (readonly GroupPlan[])[];
  /** Of each model that has ranks of its own which train. */
  readonly trained: readonly (readonly GroupPlan[])[];
  /** Theirs alone: two servers of one model may share a head. */
  readonly namespace: string;
}

/** @param config as it is run: with models that were fetched */
export async function groupsOf(
  config: Pick<ServeConfig, 'models' | 'trained'>,
  source: PlacementSource,
): Promise<PlannedGroups> {
  const cpus = source.cluster.kind === 'own' ? await totalCpus(source) : null;
  const plans = planGroups(placedParts(config), cpus);
  const count = config.models.length;
  return {
    models: plans.slice(0, count),
    trained: plans.slice(count),
    namespace: `serve-${randomBytes(6).toString('hex')}`,
  };
}

async function totalCpus({ cluster }: PlacementSource): Promise<number> {
  const { nodes } = await cluster.snapshot();
  return nodes.reduce((sum, { resources }) => sum + (resources.CPU ?? 0), 0);
}
