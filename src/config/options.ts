/**
 * Everything that a user may set, once: the same keys are flags (`--port`), environment (`TWINKLE_PORT`), YAML (`port:`) and,
 * in camel case, `createServer` options (`port`). Says what a value looks like; `settings.ts` reads them, `compile.ts` relates them.
 */

/**
 * What a value looks like. `tokens`: 4096, 8k (×1000), 8K (×1024). `bytes`: 16MiB. `seconds` become ms. `list`: repeatable.
 * `number`: fractions too. `object`: a mapping in YAML and code, JSON text in flags and the environment.
 */
export type OptionKind =
  | 'text'
  | 'list'
  | 'switch'
  | 'integer'
  | 'number'
  | 'tokens'
  | 'bytes'
  | 'seconds'
  | 'choice'
  | 'object';

/** One option. */
export interface OptionSpec {
  readonly kind: OptionKind;
  /** Metavariable of the flag; null for a switch. */
  readonly arg: string | null;
  readonly help: string;
  /** Heading in `serve --help`. */
  readonly group: 'Model' | 'Devices' | 'Placement' | 'HTTP' | 'Access' | 'Runtime';
  /** Default as shown and used; null: decided by `compile.ts`. */
  readonly default: string | number | null;
  readonly min?: number;
  readonly max?: number;
  readonly choices?: readonly string[];
  /** More words for them, in lower case. Where there are any, capitals do not matter. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Short flag with two letters, rewritten before parsing. */
  readonly short?: string;
  /** More environment variables, tried after `TWINKLE_<KEY>`. */
  readonly env?: readonly string[];
}

const degree = (what: string, short: string): OptionSpec & { readonly group: 'Model' } => ({
  kind: 'integer',
  arg: 'N',
  help: what,
  group: 'Model',
  default: 1,
  min: 1,
  max: 4096,
  short,
});

/** Key (kebab case) → option of `serve`. The order is the order of the help. */
export const SERVE_OPTIONS = {
  model: {
    kind: 'text',
    arg: 'MODEL',
    help: 'Folder or hub id; none: the built-in demo',
    group: 'Model',
    default: null,
  },
  engine: {
    kind: 'choice',
    arg: 'NAME',
    choices: ['vllm', 'transformers', 'mock'],
    help: 'What runs the model',
    group: 'Model',
    default: 'transformers',
  },
  'served-model-name': {
    kind: 'list',
    arg: 'NAME...',
    help: 'Names that clients use; the first is shown in answers',
    group: 'Model',
    default: null,
  },
  'max-model-len': {
    kind: 'tokens',
    arg: 'TOKENS',
    help: 'Context length at most, e.g. 4096 or 8k; none: what the model says',
    group: 'Model',
    default: null,
    min: 1,
  },
  'tensor-parallel-size': degree('Ranks that share each layer', 'tp'),
  'pipeline-parallel-size': degree('Stages that the layers are split into', 'pp'),
  'data-parallel-size': degree('Replicas of the model', 'dp'),
  gpus: { kind: 'text', arg: 'LIST', help: 'Exactly these GPUs: 0-3, 0,2 or UUIDs', group: 'Devices', default: null },
  npus: { kind: 'text', arg: 'LIST', help: 'Exactly these NPUs: 0-7, 0,2 or UUIDs', group: 'Devices', default: null },
  cpu: { kind: 'switch', arg: null, help: 'Use no accelerator', group: 'Devices', default: null },
  'train-gpus': {
    kind: 'text',
    arg: 'LIST',
    help: 'Train on exactly these GPUs, which models are not served on; none: on those of the model that is trained',
    group: 'Devices',
    default: null,
  },
  'train-ranks': {
    kind: 'integer',
    arg: 'N',
    help: 'Ranks that train a model together at most; none: one on each of its devices, or one on CPUs',
    group: 'Devices',
    default: null,
    min: 1,
    max: 64,
  },
  'train-shard': {
    kind: 'switch',
    arg: null,
    help: 'Spread a model over the ranks that train it, two at least: for models that do not fit one device',
    group: 'Devices',
    default: null,
  },
  'train-full': {
    kind: 'switch',
    arg: null,
    help: 'Runs of rank 0 may train all parameters of a model, alone on it: 16 bytes each beside the model',
    group: 'Devices',
    default: null,
  },
  'sleep-while-training': {
    kind: 'switch',
    arg: null,
    help: 'With engine vllm: replicas sleep while their model is trained on the same GPUs, and wake to sample',
    group: 'Devices',
    default: null,
  },
  'num-cpus': {
    kind: 'integer',
    arg: 'N',
    help: 'CPUs that this machine offers to placement groups; none: those that this process may use',
    group: 'Devices',
    default: null,
    min: 0,
    max: 1_000_000,
  },
  placement: {
    kind: 'choice',
    arg: 'STRATEGY',
    choices: ['PACK', 'SPREAD', 'STRICT_PACK', 'STRICT_SPREAD'],
    help: 'How the ranks of a replica lie on nodes (none: PACK; STRICT_PACK with -dp above 1)',
    group: 'Placement',
    default: null,
  },
  'data-parallel-placement': {
    kind: 'choice',
    arg: 'FORM',
    choices: ['replica', 'gang'],
    help: 'With -dp, a placement group for each replica, or one of all that packs them as in Ray 2.60',
    group: 'Placement',
    default: 'replica',
  },
  'placement-group-config': {
    kind: 'object',
    arg: 'JSON',
    help: 'Bundles of a replica as in Ray Serve LLM: {"bundles": [{"GPU": 1}, ...], "strategy": "SPREAD"}, or "bundle_per_worker"',
    group: 'Placement',
    default: null,
  },
  'accelerator-type': {
    kind: 'text',
    arg: 'TYPE',
    help: 'Only on devices of this type, e.g. H100 or Ascend910B4',
    group: 'Placement',
    default: null,
  },
  'replica-cpus': {
    kind: 'number',
    arg: 'N',
    help:
      'CPUs of a replica beside its devices, in its first bundle; none: 1, or 0 where each rank has a CPU for its device. ' +
      'CPUs that nobody wrote shrink until all replicas fit a machine without a head',
    group: 'Placement',
    default: null,
    min: 0,
    max: 1_000_000,
  },
  routing: {
    kind: 'choice',
    arg: 'HOW',
    choices: ['prefix', 'least-loaded'],
    help: 'With several replicas: to the one that has computed the beginning of a prompt, or to the least loaded (none: prefix with engine vllm)',
    group: 'HTTP',
    default: null,
  },
  address: {
    kind: 'choice',
    arg: 'WHERE',
    choices: ['auto', 'local'],
    help: 'Who gives out devices: the head of this machine, or this process (none: a head if one runs)',
    group: 'Placement',
    default: null,
  },
  host: { kind: 'text', arg: 'HOST', help: 'Address to listen on', group: 'HTTP', default: '127.0.0.1' },
  port: {
    kind: 'integer',
    arg: 'PORT',
    help: 'Port to listen on; 0: any free one',
    group: 'HTTP',
    default: 8000,
    min: 0,
    max: 65535,
  },
  uds: { kind: 'text', arg: 'PATH', help: 'Unix socket instead of host and port', group: 'HTTP', default: null },
  'body-limit': {
    kind: 'bytes',
    arg: 'BYTES',
    help: 'Size of a request body at most, e.g. 16MiB',
    group: 'HTTP',
    default: '16MiB',
    min: 1024,
    max: 2 ** 30,
  },
  'queue-size': {
    kind: 'integer',
    arg: 'N',
    help: 'Requests that may wait; one more gets 429',
    group: 'HTTP',
    default: 1024,
    min: 0,
    max: 1_000_000,
  },
  'api-key': {
    kind: 'list',
    arg: 'KEY',
    help: 'Key that clients must show; may be repeated (better: TWINKLE_API_KEY, which no process list shows)',
    group: 'Access',
    default: null,
  },
  'no-auth': { kind: 'switch', arg: null, help: 'Ask for no key, wherever it listens', group: 'Access', default: null },
  python: {
    kind: 'text',
    arg: 'PATH',
    help: 'Your own Python instead of the environment that setup makes',
    group: 'Runtime',
    default: null,
  },
  'no-setup': {
    kind: 'switch',
    arg: null,
    help: 'Never make the Python environment; say the command instead',
    group: 'Runtime',
    default: null,
  },
  'max-training-runs': {
    kind: 'integer',
    arg: 'N',
    help: 'Training runs of a model that are on its devices at a time; one more has another one parked on disk',
    group: 'Runtime',
    default: 64,
    min: 1,
    max: 65_536,
  },
  'training-idle-timeout': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'A run that nobody asked anything of for so long is parked; ranks that train and have no run for so long end',
    group: 'Runtime',
    default: 600,
    min: 1,
    max: 31_536_000,
  },
  'max-run-life': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'A training run that is older is saved and ends; none: it lives as long as its session',
    group: 'Runtime',
    default: null,
    min: 1,
    max: 31_536_000,
  },
  'max-checkpoint-bytes': {
    kind: 'bytes',
    arg: 'BYTES',
    help: 'Checkpoints of one API key at most, e.g. 100GiB; none: as much as the disk takes',
    group: 'Runtime',
    default: null,
    min: 1,
  },
  'checkpoint-store': {
    kind: 'text',
    arg: 'URL',
    help: 'Keep checkpoints in a bucket, e.g. s3://bucket/prefix; none: in the home folder',
    group: 'Runtime',
    default: null,
  },
  'shutdown-timeout': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'Time that running requests get at the end',
    group: 'Runtime',
    default: 30,
    min: 0,
    max: 86_400,
  },
  'start-timeout': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'Deadline of each phase of a start',
    group: 'Runtime',
    default: 600,
    min: 1,
    max: 86_400,
  },
  'step-timeout': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'Longest engine step: a replica that is in one for longer hangs, and starts again',
    group: 'Runtime',
    default: 300,
    min: 5,
    max: 86_400,
    env: ['VLLM_EXECUTE_MODEL_TIMEOUT_SECONDS'],
  },
  'crash-loop-limit': {
    kind: 'integer',
    arg: 'N',
    help: 'Restarts within the window that end the attempts',
    group: 'Runtime',
    default: 5,
    min: 1,
    max: 1000,
  },
  'crash-loop-window': {
    kind: 'seconds',
    arg: 'SECONDS',
    help: 'Window in which restarts are counted',
    group: 'Runtime',
    default: 300,
    min: 1,
    max: 86_400,
  },
  home: {
    kind: 'text',
    arg: 'DIR',
    help: 'Folder of state, logs and sockets',
    group: 'Runtime',
    default: '~/.twinkle-node',
  },
  'log-level': {
    kind: 'choice',
    arg: 'LEVEL',
    choices: ['trace', 'debug', 'info', 'warn', 'error'],
    // Those of Python's logging.
    aliases: { warning: 'warn', critical: 'error' },
    help: 'Least severe log line shown',
    group: 'Runtime',
    default: 'info',
    env: ['LOG_LEVEL'],
  },
} as const satisfies Record<string, OptionSpec>;

/** A key of {@link SERVE_OPTIONS}. */
export type OptionKey = keyof typeof SERVE_OPTIONS;

/** All keys, in order. */
export const OPTION_KEYS = Object.keys(SERVE_OPTIONS) as readonly OptionKey[];

/** The option of a key, without its literal types. */
export function optionSpec(key: OptionKey): OptionSpec {
  return SERVE_OPTIONS[key];
}

/** Whether `word` (kebab case) is a key. */
export function isOptionKey(word: string): word is OptionKey {
  return Object.hasOwn(SERVE_OPTIONS, word);
}

/** `max-model-len` → `TWINKLE_MAX_MODEL_LEN`. */
export function environmentName(key: OptionKey): string {
  return `TWINKLE_${key.toUpperCase().replaceAll('-', '_')}`;
}

/** `maxModelLen`, `max_model_len` → `max-model-len`. */
export function kebabCase(word: string): string {
  return word.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll('_', '-');
}
