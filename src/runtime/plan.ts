/** What a start would do, group by group and rank by rank, without doing it: for `--dry-run`, on this machine or on nodes of paper. Pure. */
import type { Bundle, DeviceChoice, PlacementStrategy, ServeConfig } from '../config/types.js';
import { type PlacedPart, placedParts } from '../engines/placed-parts.js';
import { type GroupPlan, planGroups } from '../engines/placement.js';
import { type SeatedBundle, type SeatedDevice, seatRanks } from '../engines/rank-seats.js';
import { ENGINE_SPECS } from '../engines/specs.js';
import { TwinkleError } from '../errors.js';
import { ClusterState } from '../scheduler/cluster-state.js';
import { explainGroup } from '../scheduler/explain.js';
import { placeGroup } from '../scheduler/place-group.js';
import { fromUnits } from '../scheduler/resources.js';
import type { Grant, NodeReason, NodeSpec } from '../scheduler/types.js';
import { compileGroup } from '../scheduler/validate.js';
import { engineEnvironment, peersOf, rankEnvironment } from '../supervisor/rank-environment.js';
import { placesOf, unplaceable } from './placement-words.js';

/** A placement group of the plan. */
export interface PlannedGroup {
  readonly model: string;
  readonly name: string;
  readonly strategy: PlacementStrategy;
  /** `pending`: it fits these nodes, but not beside the groups before it. */
  readonly outcome: 'placed' | 'pending' | 'infeasible';
  readonly reason: string | null;
  readonly bundles: readonly {
    readonly index: number;
    readonly resources: Bundle;
    readonly node: string | null;
    readonly devices: readonly SeatedDevice[];
  }[];
  /** Why each node does not take it; empty when it is placed. */
  readonly nodes: readonly NodeReason[];
}

/** One rank of the plan. */
export interface PlannedRank {
  readonly model: string;
  readonly replica: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly node: string;
  readonly localRank: number;
  /** Index in its group. */
  readonly bundle: number;
  readonly device: DeviceChoice | null;
  /** What the rank gets beside the inherited environment, and inherited variables of engines. Secrets are masked. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Plan {
  readonly groups: readonly PlannedGroup[];
  readonly ranks: readonly PlannedRank[];
  /** The error of a start, when some group has no place. */
  readonly refusal: TwinkleError | null;
}

type Env = Readonly<Record<string, string | undefined>>;

/** What a plan is made on. */
export interface PlanGround {
  readonly nodes: readonly (NodeSpec & { readonly schedulable?: boolean })[];
  /** CPUs that amounts nobody wrote shrink to; null: a cluster, nothing shrinks. */
  readonly cpus: number | null;
  readonly env: Env;
  /** Folder of the workers' code. */
  readonly pythonPath: string;
}

/** Inherited variables that change what an engine does: worth showing. */
const INTERESTING =
  /^(HF_|TRANSFORMERS_|NCCL_|HCCL_|GLOO_|TP_|OMP_|MKL_|CUDA_|NVIDIA_|ASCEND_|HIP_|VLLM_|TORCH_|PYTHON|OTEL_|RAY_EXPERIMENTAL_NOSET_|LD_LIBRARY_PATH$)/;
const SECRET = /(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)/i;

/**
 * Place the groups of all models one after the other, as a start does.
 * @throws `PLACEMENT_INVALID` for bundles that no scheduler takes
 */
export function planPlacement(config: ServeConfig, ground: PlanGround): Plan {
  const state = new ClusterState();
  for (const { schedulable, ...spec } of ground.nodes) state.addNode(spec, schedulable);
  const groups: PlannedGroup[] = [];
  const ranks: PlannedRank[] = [];
  let refusal: TwinkleError | null = null;
  const parts = placedParts(config);
  planGroups(parts, ground.cpus).forEach((plans, at) => {
    const model = parts[at] as PlacedPart;
    // What comes later may wait for room.
    const first = model.autoscaling === null ? plans.length : Math.max(1, model.autoscaling.initial);
    for (const plan of plans.slice(0, first)) {
      const group = place(state, plan, model);
      groups.push(group);
      if (group.outcome === 'placed') ranks.push(...ranksOf(plan, group, model, config, ground));
      else refusal ??= unplaceable(plan, { ...group, leftOut: ground.cpus === null ? null : config.node.leftOut });
    }
  });
  return { groups, ranks, refusal };
}

function place(state: ClusterState, plan: GroupPlan, model: PlacedPart): PlannedGroup {
  const { name, strategy, bundles, tensorParallel } = plan;
  const request = compileGroup({ bundles, strategy, tensorParallel });
  const placement = placeGroup(state, request);
  const about = { model: nameOf(model), name, strategy, outcome: placement.outcome };
  if (placement.outcome !== 'placed') {
    const empty = bundles.map((resources, index) => ({ index, resources, node: null, devices: [] }));
    return { ...about, reason: placement.reason, bundles: empty, nodes: explainGroup(state, request) };
  }
  const placed = placement.bundles
    .map(({ index, node, grant }) => {
      if (!state.claim(node, grant)) throw new TwinkleError('INTERNAL', `the plan of ${name} takes what ${node} lacks`);
      return { index, resources: bundles[index] ?? {}, node, devices: devicesOf(state.node(node)?.spec, grant) };
    })
    .sort((a, b) => a.index - b.index);
  return { ...about, reason: null, bundles: placed, nodes: [] };
}

function devicesOf(spec: NodeSpec | undefined, grant: Grant): SeatedDevice[] {
  return [...grant.instances].flatMap(([resource, pieces]) =>
    pieces.map(([instance, units]) => ({
      resource,
      instance,
      // A node of paper need not name its devices.
      uuid: spec?.devices.get(resource)?.ids[instance] ?? `${resource}:${instance}`,
      quantity: fromUnits(units),
    })),
  );
}

function ranksOf(
  plan: GroupPlan,
  group: PlannedGroup,
  { engine, envVars }: PlacedPart,
  config: ServeConfig,
  ground: PlanGround,
): PlannedRank[] {
  const env = { ...ground.env, ...envVars };
  const base = engineEnvironment(env, ground.pythonPath, config.logLevel);
  const seats = seatRanks(plan, group.bundles as readonly SeatedBundle[]);
  return plan.replicas.flatMap((replica, position) => {
    const seated = seats[position] ?? [];
    const places = placesOf(seated, config.node.devices);
    const first = seated[0]?.node ?? '';
    const peers = ENGINE_SPECS[engine].drives ? peersOf(places) : null;
    const oneNode = seated.every(({ node }) => node === first);
    return seated.map(({ node, bundle, localRank }, rank): PlannedRank => {
      const device = places[rank]?.device ?? null;
      const { worldSize } = plan;
      const own = rankEnvironment(
        {
          instance: '(of the start)',
          gang: `${group.model}/${replica}`,
          epoch: 1,
          rank,
          localRank,
          worldSize,
          masterAddr: oneNode ? '127.0.0.1' : `(of node ${first})`,
          masterPort: 0,
          device,
          peers,
        },
        env,
      );
      const port = { MASTER_PORT: worldSize === 1 ? '0' : '(of the rendezvous)' };
      const environment = shown({ ...base, ...own, ...port }, new Set([...Object.keys(own), ...Object.keys(envVars)]));
      return { model: group.model, replica, rank, worldSize, node, localRank, bundle, device, environment };
    });
  });
}

function nameOf(model: PlacedPart): string {
  return model.servedNames[0] ?? model.model;
}

function shown(env: Readonly<Record<string, string>>, own: ReadonlySet<string>): Record<string, string> {
  const names = Object.keys(env).filter(
    (name) => own.has(name) || name.startsWith('TWINKLE_') || INTERESTING.test(name),
  );
  return Object.fromEntries(names.sort().map((name) => [name, maskSecret(name, env[name] ?? '')]));
}

/** `***` when the name says that the value is a secret. */
export function maskSecret(name: string, value: string): string {
  return SECRET.test(name) && value !== '' ? '***' : value;
}
