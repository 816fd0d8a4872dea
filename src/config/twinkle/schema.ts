/**
 * The file of a Twinkle Server, field by field: names and defaults are those of modelscope/twinkle 0.5. Descriptions become the reference of
 * docs/twinkle-server.md.
 */
import { type Static, type TLiteral, type TProperties, type TSchema, Type } from '../../protocol/type.js';
import { KINDS } from './kinds.js';

const block = <P extends TProperties>(properties: P, options = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });
const nullable = <S extends TSchema>(schema: S, description: string) =>
  Type.Union([schema, Type.Null()], { default: null, description });
const text = (description: string, options = {}) => Type.String({ minLength: 1, description, ...options });
const seconds = (description: string, options = {}) => Type.Number({ minimum: 0, description, ...options });
const count = (description: string, options = {}) =>
  Type.Integer({ minimum: 1, maximum: 1_000_000, description, ...options });
const oneOf = <const N extends readonly string[]>(names: N, options = {}) =>
  Type.Union(names.map((name) => Type.Literal(name)) as unknown as [TLiteral<N[number]>], {
    title: `one of ${names.join(', ')}`,
    ...options,
  });

/** Limits of an application’s requests. */
export const QUEUE = block({
  rps_limit: seconds('requests of a token in each window; 0: any number', { default: 100 }),
  tps_limit: seconds('input tokens of a token in each window; 0: any number', { default: 16_000 }),
  window_seconds: Type.Number({ exclusiveMinimum: 0, maximum: 86_400, default: 1, description: 'length of a window' }),
  queue_timeout: seconds('seconds that a request may wait; 0: any time', { default: 300 }),
  execution_timeout: seconds('seconds that it may run; 0: any time', { default: 120 }),
  enabled: Type.Boolean({ default: true, description: 'false: there are no limits of requests, tokens and input' }),
  token_cleanup_multiplier: seconds('windows after which an idle token is forgotten', { default: 10 }),
  token_cleanup_interval: seconds('seconds between looks at idle tokens', { default: 60 }),
  max_input_tokens: count('input tokens of one request', { default: 16_000, maximum: 2 ** 31 }),
});

export const DEVICE_GROUP = block({
  name: text('of the group'),
  ranks: Type.Union([Type.Integer({ minimum: 0, maximum: 65_536 }), Type.Array(Type.Integer({ minimum: 0 }))], {
    title: 'a whole number, or a list of ranks',
    description: 'how many devices, or processes of a CPU group; or which ranks',
  }),
  device_type: Type.String({ minLength: 1, default: 'cuda', description: 'cuda, npu or CPU' }),
  gpus_per_worker: count('devices that a process of the sampler has: its tensor parallel size', { default: 1 }),
  visible_devices: Type.Union(
    [Type.String(), Type.Integer({ minimum: 0 }), Type.Array(Type.Integer({ minimum: 0 })), Type.Null()],
    {
      title: 'indices such as 0,1',
      default: null,
      description: 'devices of each node that may be used; null: all that it offers',
    },
  ),
});

const size = (description: string) => nullable(Type.Integer({ minimum: 1, maximum: 65_536 }), description);

export const DEVICE_MESH = block({
  device_type: nullable(Type.String({ minLength: 1 }), 'as in device_group'),
  world_size: count('product of the sizes; 1: whatever they give', { default: 1 }),
  dp_size: count('data parallel', { default: 1 }),
  fsdp_size: size('fully sharded data parallel'),
  tp_size: size('tensor parallel'),
  pp_size: size('pipeline parallel'),
  cp_size: size('context parallel'),
  ulysses_size: size('sequence parallel by heads: ranks of dp and fsdp that share a sequence'),
  ep_size: size('expert parallel'),
  etp_size: count('tensor parallel of experts', { default: 1 }),
  ep_fsdp_size: size('sharding of experts; null: the world divided by ep_size'),
  vpp_size: size('virtual pipeline stages'),
  sequence_parallel: Type.Boolean({ default: false, description: 'of Megatron' }),
  mesh: nullable(Type.Array(Type.Unknown()), 'ranks as a nested list, instead of sizes'),
  mesh_dim_names: nullable(Type.Array(Type.String()), 'a name for each dimension of mesh'),
});

const HTTP = block({
  host: text('address to listen at', { default: 'localhost' }),
  port: Type.Integer({ minimum: 0, maximum: 65_535, default: 8000, description: '0: any free one' }),
});

const ADAPTER = block({
  adapter_timeout: seconds('an adapter whose session was silent for so long is unloaded', { default: 1800 }),
  adapter_max_lifetime: seconds('an adapter that is older is unloaded', { default: 36_000 }),
});

const LIMITS = {
  queue_config: QUEUE,
};

const DEVICES = {
  nproc_per_node: count('devices of a node that it uses at most', { default: 1 }),
  device_group: DEVICE_GROUP,
  device_mesh: DEVICE_MESH,
};

/** `args`, by `import_path`. */
export const ARGS = {
  server: block({
    server_config: block(
      {
        expiration_timeout: nullable(
          seconds('a session that was silent for so long is forgotten'),
          'seconds; null: 86400',
        ),
        cleanup_interval: nullable(
          seconds('between looks at silent sessions'),
          'seconds between looks at silent sessions; null: 3600',
        ),
        per_token_model_limit: nullable(count('models'), 'models that a token may have at a time; null: 30'),
        metrics_update_interval: nullable(seconds('between updates'), 'seconds between updates of gauges; null: 15'),
        actor_name: nullable(text('a name'), 'has no meaning here: state is no actor'),
      },
      { default: {} },
    ),
    supported_models: nullable(
      Type.Array(Type.Union([Type.String(), block({ model_name: text('a name') })], { title: 'names of models' })),
      'names of models that clients may ask for; null: those of the applications',
    ),
    http_options: nullable(HTTP, 'as at the top; the same if written twice'),
    route_prefix: nullable(text('a path'), 'as of the application; the same if written twice'),
  }),
  model: block({
    model_id: nullable(
      text('a hub id or folder'),
      '`ms://…`, `hf://…`, a folder, or `demo`; null: as route_prefix names it',
    ),
    backend: oneOf(['transformers', 'megatron', 'mock'], { default: 'transformers', description: 'what trains it' }),
    train_mode: oneOf(['lora', 'full'], {
      default: 'lora',
      description: 'full: one tenant at a time trains all parameters',
    }),
    ...DEVICES,
    adapter_config: nullable(ADAPTER, 'null: the defaults'),
    ...LIMITS,
    max_loras: count('adapters of a replica at a time', { default: 5 }),
    max_length: nullable(count('tokens'), 'tokens of one sequence; null: what the model says'),
  }),
  sampler: block({
    model_id: nullable(
      text('a hub id or folder'),
      '`ms://…`, `hf://…`, a folder, or `demo`; null: as route_prefix names it',
    ),
    sampler_type: oneOf(['vllm', 'torch', 'mock'], { default: 'vllm', description: 'what samples' }),
    ...DEVICES,
    engine_args: nullable(Type.Object({}), 'arguments of the engine by its own names'),
    ...LIMITS,
  }),
  processor: block({
    ncpu_proc_per_node: nullable(count('processes'), 'processes of a node; null: as many as the group has'),
    device_group: nullable(DEVICE_GROUP, 'a CPU group; null: one process'),
    device_mesh: nullable(DEVICE_MESH, 'of that group'),
    ...LIMITS,
  }),
} as const;

export type Kind = keyof typeof ARGS;

/** Everything but `args`, which depend on `import_path`, and `deployments`, which are Ray Serve’s. */
export const FILE = block({
  ray_namespace: nullable(text('a name'), 'namespace of actors; null: twinkle_cluster'),
  proxy_location: nullable(oneOf(['EveryNode', 'HeadOnly', 'Disabled']), 'where HTTP is answered; null: HeadOnly'),
  http_options: block(HTTP.properties, { default: {} }),
  telemetry: block(
    {
      enabled: Type.Boolean({ default: false, description: 'push traces and metrics' }),
      service_name: text('name of the service', { default: 'twinkle-server' }),
      otlp_endpoint: text('collector (OTLP)', { default: 'http://localhost:4317' }),
      debug: Type.Boolean({ default: false, description: 'print them, too' }),
      export_interval_ms: count('time between two exports of metrics', { default: 30_000, maximum: 86_400_000 }),
      resource_attributes: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        default: {},
        description: 'of everything that is pushed',
      }),
    },
    { default: {} },
  ),
  persistence: block(
    {
      mode: oneOf(['memory', 'file', 'redis'], { default: 'memory', description: 'where state is kept' }),
      file_path: nullable(text('a path'), 'of mode file'),
      redis_url: nullable(text('a URL'), 'of mode redis'),
      key_prefix: Type.String({ default: '', description: 'of every key in Redis' }),
    },
    { default: {} },
  ),
  task_queue: block(QUEUE.properties, {
    default: {},
    description: 'queue_config of applications that do not say otherwise',
  }),
  applications: Type.Array(
    block({
      name: text('unlike all others'),
      route_prefix: Type.String({ default: '/', description: 'where clients find it' }),
      import_path: oneOf(KINDS, { description: 'what it is' }),
      args: Type.Object({}, { default: {} }),
      deployments: Type.Array(Type.Object({}), {
        default: [],
        description: 'replicas and what they hold, as of Ray Serve; the first counts',
      }),
    }),
    { default: [] },
  ),
});

export type FileFields = Static<typeof FILE>;
export type ArgsOf<K extends Kind> = Static<(typeof ARGS)[K]>;
