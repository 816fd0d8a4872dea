/** One of `applications`, from fields that fit their schema. */
import { entry, inside, type Located, plain } from '../yaml-tree.js';
import type { TwinkleSource } from './compile.js';
import { readNumber } from './complete.js';
import { readDeployments } from './deployment.js';
import { readDevices } from './device-group.js';
import type { Problems } from './problems.js';
import { limitsOf } from './queue-limits.js';
import { routeOf, wrongPrefix } from './routes.js';
import type { ArgsOf, FileFields } from './schema.js';
import type { Application, QueueLimits } from './types.js';

type Fields = FileFields['applications'][number];

/** @param app with args that fit its kind */
export function compileApplication(app: Located, source: TwinkleSource, problems: Problems): Application {
  const { name, import_path: kind, route_prefix: written } = plain(app) as Fields;
  const field = inside(app, ['args']) as Located;
  const deployment = readDeployments(inside(app, ['deployments']) as Located, problems);
  const wrong = wrongPrefix(written);
  if (wrong !== null)
    problems.add(entry(app, 'route_prefix').origin, `${wrong} but received ${JSON.stringify(written)}`);
  const common = { name, deployment };
  if (kind === 'server') {
    const args = plain(field) as ArgsOf<'server'>;
    const { server_config: state, supported_models: models } = args;
    if (state.actor_name !== null)
      problems.warn(
        entry(inside(field, ['server_config']) as Located, 'actor_name').origin,
        '`actor_name` has no meaning here: state is no actor',
      );
    return {
      ...{ kind, ...common, prefixes: routeOf(kind, written, '').prefixes },
      sessionTimeoutMs: (state.expiration_timeout ?? 86_400) * 1000,
      cleanupIntervalMs: (state.cleanup_interval ?? 3600) * 1000,
      modelsPerToken: state.per_token_model_limit ?? 30,
      metricsIntervalMs: (state.metrics_update_interval ?? 15) * 1000,
      supportedModels: models?.map((model) => (typeof model === 'string' ? model : model.model_name)) ?? null,
    };
  }
  if (kind === 'processor')
    return { kind, ...common, prefixes: routeOf(kind, written, '').prefixes, ...processesOf(field, problems) };
  const args = plain(field) as ArgsOf<'model'> | ArgsOf<'sampler'>;
  const devices = readDevices(
    {
      ...{ group: args.device_group, mesh: args.device_mesh, perNode: args.nproc_per_node },
      several: kind === 'sampler',
    },
    field,
    problems,
  );
  const route = routeOf(kind, written, args.model_id ?? '');
  if (route.modelName === '') problems.add(field.origin, '`model_id` is missing, and route_prefix names no model');
  const modelId = args.model_id ?? route.modelName;
  const onDevices = { ...common, ...route, modelId, queue: limitsOf(args.queue_config) };
  if (kind === 'sampler') {
    const { sampler_type: engine, engine_args: given } = args as ArgsOf<'sampler'>;
    const where = entry(field, 'engine_args');
    const { max_model_len: maxModelLen = null, ...others } = (given ?? {}) as Record<string, unknown>;
    return {
      ...{ kind, ...onDevices, devices, engine },
      maxModelLen: lengthOf(maxModelLen, entry(where, 'max_model_len'), problems),
      engineArgs: checkedArgs(engine, others, where, source, problems),
    };
  }
  const {
    backend,
    train_mode: mode,
    adapter_config: adapter,
    max_loras: maxLoras,
    max_length: maxLength,
  } = args as ArgsOf<'model'>;
  if (mode === 'full' && deployment.replicas > 1) {
    problems.add(
      entry(field, 'train_mode').origin,
      `trains all parameters, in one replica, and there may be ${deployment.replicas}`,
    );
  }
  return {
    ...{ kind, ...onDevices, devices, backend, maxLoras, maxLength },
    full: mode === 'full',
    adapterTimeoutMs: (adapter?.adapter_timeout ?? 1800) * 1000,
    adapterMaxLifetimeMs: (adapter?.adapter_max_lifetime ?? 36_000) * 1000,
  };
}

/** What the device group says. */
const SHAPE = ['tensor_parallel_size', 'pipeline_parallel_size', 'data_parallel_size'];

function checkedArgs(
  engine: ArgsOf<'sampler'>['sampler_type'],
  given: Readonly<Record<string, unknown>>,
  where: Located,
  { engineArgs }: TwinkleSource,
  problems: Problems,
): Record<string, unknown> {
  for (const name of SHAPE.filter((one) => Object.hasOwn(given, one))) {
    problems.add(entry(where, name).origin, 'is what device_group and device_mesh say; leave it out');
  }
  const args = Object.entries(given)
    .filter(([name]) => !SHAPE.includes(name))
    .map(([name, value]) => ({ name, value, origin: entry(where, name).origin }));
  const name = engine === 'torch' ? 'transformers' : engine;
  const right = args.filter((arg) => {
    try {
      engineArgs(name, [arg], () => {});
      return true;
    } catch (error) {
      problems.take(error, arg.origin);
      return false;
    }
  });
  return engineArgs(name, right, (sentence) => problems.warn(where.origin, sentence));
}

function lengthOf(said: unknown, { origin }: Located, problems: Problems): number | null {
  const written = typeof said === 'string' ? (readNumber(said) ?? said) : said;
  if (written === null || (Number.isSafeInteger(written) && (written as number) > 0)) return written as number | null;
  problems.add(origin, `expected a whole number of tokens but received ${JSON.stringify(written)}`);
  return null;
}

function processesOf(
  field: Located,
  problems: Problems,
): { processes: number; processesPerNode: number; queue: QueueLimits } {
  const {
    ncpu_proc_per_node: most,
    device_group: group,
    device_mesh: mesh,
    queue_config: queue,
  } = plain(field) as ArgsOf<'processor'>;
  const limits = limitsOf(queue);
  if (group === null || mesh === null) {
    if (group !== mesh) problems.add(field.origin, 'has one of device_group and device_mesh; write both or none');
    return { processes: most ?? 1, processesPerNode: most ?? 1, queue: limits };
  }
  const { type, ranks } = readDevices({ group, mesh, perNode: most ?? 1, several: false }, field, problems);
  if (type !== 'CPU')
    problems.add(entry(entry(field, 'device_group'), 'device_type').origin, 'a processor runs on CPUs: write CPU');
  return { processes: ranks, processesPerNode: most ?? ranks, queue: limits };
}
