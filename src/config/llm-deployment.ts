/** Reads `deployment_config` of an LLM config: how many replicas, when there are more, and what each holds beside its devices. Pure. */
import type { Field } from './field.js';
import type { Autoscaling, Bundle, Routing } from './types.js';

/** What it says; null: not written. */
export interface Deployment {
  /** Replicas, or the most that there may be. */
  readonly replicas: number;
  readonly autoscaling: Autoscaling | null;
  readonly maxOngoing: number | null;
  readonly maxQueued: number | null;
  readonly routing: Routing | null;
  readonly replicaCpus: Field | null;
  /** Other resources of a replica, for its first bundle. */
  readonly resources: Bundle;
}

/** As if it was not written. */
export const NO_DEPLOYMENT: Deployment = {
  replicas: 1,
  autoscaling: null,
  maxOngoing: null,
  maxQueued: null,
  routing: null,
  replicaCpus: null,
  resources: {},
};

const FIELDS = [
  'num_replicas',
  'autoscaling_config',
  'max_ongoing_requests',
  'max_queued_requests',
  'ray_actor_options',
  'request_router_config',
] as const;

const HEALTH = 'every rank sends beats that are watched; leave it out';
const END = 'how long running requests get at the end is --shutdown-timeout of the server';
const REFUSED = {
  name: 'a model goes by its model_id; leave it out',
  user_config: 'nothing would read it; leave it out',
  logging_config: 'logs are set by --log-level; leave it out',
  health_check_period_s: HEALTH,
  health_check_timeout_s: HEALTH,
  graceful_shutdown_timeout_s: END,
  graceful_shutdown_wait_loop_s: END,
  max_replicas_per_node: 'write a placement strategy in placement_group_config',
  placement_group_bundles: 'write placement_group_config beside deployment_config',
  placement_group_strategy: 'write placement_group_config beside deployment_config',
};

/** @throws `CONFIG_INVALID` */
export function readDeployment(field: Field): Deployment {
  const fields = field.fields(FIELDS, REFUSED);
  const number = fields.get('num_replicas');
  const config = fields.get('autoscaling_config');
  const auto = number?.value === 'auto';
  if (number !== undefined && config !== undefined && !auto) {
    throw number.refused('both it and autoscaling_config say how many', 'leave one out, or write "auto"');
  }
  const scaling = config !== undefined || auto ? readAutoscaling(config ?? null, auto) : null;
  const ongoing = fields.get('max_ongoing_requests');
  const queued = fields.get('max_queued_requests')?.number({ min: -1, whole: true }) ?? null;
  const router = fields.get('request_router_config');
  const actor = fields.get('ray_actor_options');
  return {
    replicas: scaling?.max ?? number?.number({ min: 1, max: 4096, whole: true }) ?? 1,
    // Nothing moves between equal bounds.
    autoscaling: scaling === null || scaling.min === scaling.max ? null : scaling,
    maxOngoing: ongoing?.number({ min: 1, whole: true }) ?? null,
    maxQueued: queued === -1 ? Number.MAX_SAFE_INTEGER : queued,
    routing: router === undefined ? null : readRouter(router),
    ...(actor === undefined ? { replicaCpus: null, resources: {} } : readActorOptions(actor)),
  };
}

const SCALING_FIELDS = [
  'min_replicas',
  'max_replicas',
  'initial_replicas',
  'target_ongoing_requests',
  'upscale_delay_s',
  'downscale_delay_s',
  'downscale_to_zero_delay_s',
  'upscaling_factor',
  'downscaling_factor',
  'smoothing_factor',
  'upscale_smoothing_factor',
  'downscale_smoothing_factor',
  'look_back_period_s',
  'aggregation_function',
] as const;

const SCALING_REFUSED = {
  metrics_interval_s: 'loads are known without being reported; leave it out',
  policy: 'there is one policy, by ongoing requests; leave it out',
};

const POSITIVE = Number.MIN_VALUE;

/** @param auto `num_replicas: auto`, which has another maximum by default */
function readAutoscaling(field: Field | null, auto: boolean): Autoscaling {
  const fields = field?.fields(SCALING_FIELDS, SCALING_REFUSED) ?? new Map<never, Field>();
  const get = (name: (typeof SCALING_FIELDS)[number]): Field | undefined =>
    (fields as ReadonlyMap<string, Field>).get(name);
  const count = (name: 'min_replicas' | 'max_replicas' | 'initial_replicas', least: number): number | undefined =>
    get(name)?.number({ min: least, max: 4096, whole: true });
  const ms = (name: 'upscale_delay_s' | 'downscale_delay_s' | 'downscale_to_zero_delay_s'): number | undefined => {
    const seconds = get(name)?.number({ min: 0, max: 86_400 });
    return seconds === undefined ? undefined : seconds * 1000;
  };
  const positive = (name: (typeof SCALING_FIELDS)[number]): number | undefined => get(name)?.number({ min: POSITIVE });
  const min = count('min_replicas', 0) ?? 1;
  const max = count('max_replicas', 1) ?? (auto ? 100 : 1);
  const initial = count('initial_replicas', 0) ?? min;
  const bound = get('max_replicas') ?? get('min_replicas');
  if (max < min) throw (bound as Field).refused(`max_replicas (${max}) is less than min_replicas (${min})`);
  if (initial < min || initial > max) {
    throw (get('initial_replicas') as Field).refused(
      `${initial} is not between min_replicas (${min}) and max_replicas (${max})`,
    );
  }
  const downscaleDelayMs = ms('downscale_delay_s') ?? 600_000;
  const smoothing = positive('smoothing_factor') ?? 1;
  return {
    min,
    max,
    initial,
    targetOngoing: positive('target_ongoing_requests') ?? 2,
    upscaleDelayMs: ms('upscale_delay_s') ?? 30_000,
    downscaleDelayMs,
    downscaleToZeroDelayMs: ms('downscale_to_zero_delay_s') ?? downscaleDelayMs,
    upscalingFactor: positive('upscaling_factor') ?? positive('upscale_smoothing_factor') ?? smoothing,
    downscalingFactor: positive('downscaling_factor') ?? positive('downscale_smoothing_factor') ?? smoothing,
    lookBackMs: (get('look_back_period_s')?.number({ min: POSITIVE, max: 86_400 }) ?? 30) * 1000,
    aggregation: readAggregation(get('aggregation_function')),
  };
}

function readAggregation(field: Field | undefined): Autoscaling['aggregation'] {
  if (field === undefined) return 'mean';
  const found = (['mean', 'max', 'min'] as const).find((name) => name === String(field.value).toLowerCase());
  if (found === undefined) throw field.wrong('mean, max or min');
  return found;
}

const GPUS = 'each rank gets one device: write tensor_parallel_size and placement_group_config';

function readActorOptions(field: Field): Pick<Deployment, 'replicaCpus' | 'resources'> {
  const fields = field.fields(['num_cpus', 'num_gpus', 'memory', 'resources'], {
    runtime_env: 'write runtime_env beside deployment_config',
    accelerator_type: 'write accelerator_type beside deployment_config',
  });
  const gpus = fields.get('num_gpus');
  if (gpus !== undefined && gpus.number({ min: 0 }) > 0)
    throw gpus.refused('a replica holds no device of its own', GPUS);
  const resources: Record<string, number> = {};
  for (const [name, amount] of fields.get('resources')?.entries() ?? []) {
    if (['CPU', 'GPU', 'NPU'].includes(name)) {
      throw amount.refused(
        name === 'CPU' ? 'write num_cpus' : 'a replica holds no device of its own',
        name === 'CPU' ? '' : GPUS,
      );
    }
    resources[name] = amount.number({ min: 0 });
  }
  const memory = fields.get('memory')?.number({ min: 0 });
  if (memory !== undefined) resources.memory = memory;
  const cpus = fields.get('num_cpus') ?? null;
  cpus?.number({ min: 0, max: 1_000_000 });
  return { replicaCpus: cpus, resources };
}

/** Ray's routers by the ends of their classes' names. */
const ROUTERS: Readonly<Record<string, Routing>> = {
  PrefixCacheAffinityRouter: 'prefix',
  PowerOfTwoChoicesRequestRouter: 'least-loaded',
};

function readRouter(field: Field): Routing | null {
  const name = field
    .fields(['request_router_class'], { request_router_kwargs: 'the router has no settings; leave it out' })
    .get('request_router_class');
  if (name === undefined) return null;
  const routing = ROUTERS[name.text().split(/[.:]/).at(-1) ?? ''];
  if (routing === undefined) throw name.wrong(`a class that ends in ${Object.keys(ROUTERS).join(' or ')}`);
  return routing;
}
