/**
 * From the shape of models to the placement groups of their replicas, as Ray Serve LLM and vLLM make them: one device bundle a rank, the
 * replica's CPUs in its first bundle. Pure: knows neither nodes nor how a group is placed.
 */
import type { Bundle, ModelConfig, PlacementStrategy } from '../config/types.js';

/** What of a model, or of what trains one, makes its groups. */
export type GroupShape = Pick<
  ModelConfig,
  'model' | 'servedNames' | 'placement' | 'tensorParallel' | 'pipelineParallel' | 'dataParallel'
>;

/** A group to make. */
export interface GroupPlan {
  /** `mock/0`; `mock` when it holds all replicas. */
  readonly name: string;
  readonly strategy: PlacementStrategy;
  readonly bundles: readonly Bundle[];
  /** Ranks that work as one tensor-parallel group and follow each other in `bundles`; 1: nothing is known of neighbours. */
  readonly tensorParallel: number;
  readonly accelerator: 'GPU' | 'NPU' | null;
  /** Replicas of the model that it holds, ascending. */
  readonly replicas: readonly number[];
  /** Ranks of a replica. */
  readonly worldSize: number;
}

/** Of the hint that keeps bundles on nodes with a type of device: Ray's amount. */
const HINT = 0.001;
const UNIT = 10_000;

/**
 * The groups of each model.
 * @param cpus CPUs that all groups must fit into: amounts that nobody wrote shrink evenly, as little as it takes. Null: a cluster,
 * nothing shrinks
 */
export function planGroups(models: readonly GroupShape[], cpus: number | null): readonly (readonly GroupPlan[])[] {
  const share = cpus === null ? 1 : shareOf(models, cpus);
  return models.map((model) => groupsOf(model, share));
}

function groupsOf(model: GroupShape, share: number): GroupPlan[] {
  const { placement, tensorParallel, pipelineParallel, dataParallel } = model;
  const { accelerator, strategy } = placement;
  const bundles = replicaBundles(model, share);
  // Bundles without a device between those with one: the scheduler cannot tell which belong together.
  const aligned = accelerator !== null && bundles.every((bundle) => accelerator in bundle);
  const common = {
    strategy,
    accelerator,
    tensorParallel: aligned ? tensorParallel : 1,
    worldSize: tensorParallel * pipelineParallel,
  };
  const name = model.servedNames[0] ?? model.model;
  const replicas = Array.from({ length: dataParallel }, (_, replica) => replica);
  if (placement.dataParallel === 'gang' && dataParallel > 1) {
    return [{ ...common, name, bundles: replicas.flatMap(() => bundles), replicas }];
  }
  return replicas.map((replica) => ({ ...common, name: `${name}/${replica}`, bundles, replicas: [replica] }));
}

function replicaBundles(model: GroupShape, share: number): Bundle[] {
  const { accelerator, acceleratorType, bundles: written, replicaCpus } = model.placement;
  const worldSize = model.tensorParallel * model.pipelineParallel;
  const one: Bundle = accelerator === null ? { CPU: Math.max(share, 1 / UNIT) } : { [accelerator]: 1 };
  const bundles = written ?? new Array<Bundle>(worldSize).fill(one);
  const hint = acceleratorType === null ? {} : { [`accelerator_type:${acceleratorType}`]: HINT };
  const cpus = replicaCpus ?? defaultReplicaCpus(model) * share;
  return bundles.map((bundle, index) => {
    const total = (bundle.CPU ?? 0) + (index === 0 ? cpus : 0);
    // The order of names is part of what is shown: devices first, hints last.
    const { CPU: _, ...others } = bundle;
    return { ...others, ...(total > 0 ? { CPU: rounded(total) } : {}), ...without(hint, bundle) };
  });
}

/** Ray gives every replica's actor a CPU. Ranks on CPUs are that replica: theirs are enough. */
function defaultReplicaCpus({ placement }: GroupShape): number {
  return placement.accelerator === null && placement.bundles === null ? 0 : 1;
}

/** What one CPU that nobody wrote shrinks to, rounded down to what schedulers count in. */
function shareOf(models: readonly GroupShape[], cpus: number): number {
  let written = 0;
  let unwritten = 0;
  for (const model of models) {
    const { accelerator, bundles, replicaCpus } = model.placement;
    for (const bundle of bundles ?? []) written += (bundle.CPU ?? 0) * model.dataParallel;
    if (bundles === null && accelerator === null) {
      unwritten += model.tensorParallel * model.pipelineParallel * model.dataParallel;
    }
    if (replicaCpus === null) unwritten += defaultReplicaCpus(model) * model.dataParallel;
    else written += replicaCpus * model.dataParallel;
  }
  if (unwritten === 0) return 1;
  const share = Math.max(0, cpus - written) / unwritten;
  return Math.min(1, Math.floor(share * UNIT + 1e-6) / UNIT);
}

function without(hint: Bundle, bundle: Bundle): Bundle {
  return Object.keys(hint).some((name) => name in bundle) ? {} : hint;
}

function rounded(amount: number): number {
  return Math.round(amount * UNIT) / UNIT;
}
