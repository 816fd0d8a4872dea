/**
 * Reads `llm_configs`: models as users of Ray Serve LLM write them, by Ray's own names. Each becomes the options that flags would have been,
 * and what has no flag. Everything is taken or refused with its place; nothing is checked against the machine here. Pure.
 */

import { isBucketUrl, readBucketUrl } from '../util/bucket-url.js';
import type { WrittenEngineArg } from './compile.js';
import { Field, type Place } from './field.js';
import { type Deployment, NO_DEPLOYMENT, readDeployment } from './llm-deployment.js';
import type { OptionKey } from './options.js';
import { type Layer, located, type Origin, type Written } from './settings.js';
import type { EngineName, LoraSettings } from './types.js';

/** `llm_configs` as written. */
export interface WrittenLlmConfigs {
  readonly value: unknown;
  readonly origin: Origin;
  readonly place: Place;
}

/** One of them. */
export interface LlmConfig {
  /** Options of its model alone. */
  readonly layer: Layer;
  readonly engine: EngineName;
  readonly engineArgs: readonly WrittenEngineArg[];
  readonly deployment: Deployment;
  readonly lora: LoraSettings | null;
  readonly envVars: Readonly<Record<string, string>>;
  readonly field: Field;
}

const FIELDS = [
  'model_loading_config',
  'llm_engine',
  'engine_kwargs',
  'accelerator_type',
  'placement_group_config',
  'deployment_config',
  'lora_config',
  'runtime_env',
] as const;

const REFUSED = {
  accelerator_config: 'devices are GPUs and NPUs, by accelerator_type and placement_group_config',
  server_cls: 'requests are served by twinkle-node itself; leave it out',
  callback_config: 'there are no callbacks; leave it out',
  experimental_configs: 'it tunes parts of Ray that are not here; leave it out',
  log_engine_metrics: "the engine's metrics are always at /metrics; leave it out",
};

/** @throws `CONFIG_INVALID` with place and path */
export function readLlmConfigs({ value, origin, place }: WrittenLlmConfigs): LlmConfig[] {
  const all = new Field(value, origin.name, origin.source, place);
  const items = all.items();
  if (items.length === 0)
    throw new Field(value, origin.name, origin.source, () => origin.at).wrong('at least one model');
  return items.map(readLlmConfig);
}

function readLlmConfig(field: Field): LlmConfig {
  const fields = field.fields(FIELDS, REFUSED);
  const layer = new Map<OptionKey, Written>();
  const engineArgs: WrittenEngineArg[] = [];
  const put = (key: OptionKey, from: Field | undefined, value: unknown = from?.value): void => {
    if (from !== undefined) layer.set(key, { value, origin: from.origin });
  };
  const engine = readEngine(fields.get('llm_engine'));
  layer.set('engine', { value: engine, origin: fields.get('llm_engine')?.origin ?? field.origin });
  readLoading(field, fields.get('model_loading_config'), put, engineArgs);
  readKwargs(fields.get('engine_kwargs'), put, engineArgs);
  const type = fields.get('accelerator_type');
  // Ray has the same alias.
  put('accelerator-type', type, type?.text('a type such as H100 or L4') === 'A10' ? 'A10G' : type?.value);
  const group = fields.get('placement_group_config');
  group?.entries();
  put('placement-group-config', group);
  const written = fields.get('deployment_config');
  const deployment = written === undefined ? NO_DEPLOYMENT : readDeployment(written);
  put('replica-cpus', deployment.replicaCpus ?? undefined);
  if (deployment.routing !== null) put('routing', written, deployment.routing);
  const lora = fields.get('lora_config');
  return {
    layer,
    engine,
    engineArgs,
    deployment,
    lora: lora === undefined ? null : readLora(lora, engine),
    envVars: readRuntimeEnv(fields.get('runtime_env')),
    field,
  };
}

const ENGINES: readonly EngineName[] = ['vllm', 'transformers', 'mock'];

function readEngine(field: Field | undefined): EngineName {
  if (field === undefined) return 'vllm';
  const text = field.text('the name of an engine');
  const found = ENGINES.find((name) => name === text.toLowerCase());
  if (found === undefined) throw field.wrong(`one of vLLM, transformers, mock`);
  return found;
}

type Put = (key: OptionKey, from: Field | undefined, value?: unknown) => void;

function readLoading(config: Field, field: Field | undefined, put: Put, engineArgs: WrittenEngineArg[]): void {
  if (field === undefined) throw config.refused('model_loading_config is missing', 'write {model_id, model_source}');
  const fields = field.fields(['model_id', 'model_source', 'tokenizer_source']);
  const id = fields.get('model_id');
  if (id === undefined) throw field.refused('model_id is missing', 'it is the name that clients use');
  const source = fields.get('model_source');
  if (typeof source?.value === 'object') {
    throw source.refused('mirrors in buckets are not downloaded', 'download the model and name its folder');
  }
  put('served-model-name', id, [id.text('a name')]);
  source?.text('a folder or a hub id');
  put('model', source ?? id);
  const tokenizer = fields.get('tokenizer_source');
  if (tokenizer !== undefined) engineArgs.push(engineArg('tokenizer', tokenizer));
}

/** Arguments of the engine that are options here, because they shape groups and gangs. */
const SHAPE: Readonly<Record<string, OptionKey>> = {
  tensor_parallel_size: 'tensor-parallel-size',
  pipeline_parallel_size: 'pipeline-parallel-size',
  data_parallel_size: 'data-parallel-size',
  max_model_len: 'max-model-len',
};

const ELSEWHERE: Readonly<Record<string, string>> = {
  model: 'model_loading_config.model_source',
  served_model_name: 'model_loading_config.model_id',
};

function readKwargs(field: Field | undefined, put: Put, engineArgs: WrittenEngineArg[]): void {
  for (const [name, value] of field?.entries() ?? []) {
    const key = SHAPE[name];
    if (Object.hasOwn(ELSEWHERE, name)) throw value.refused(`is written as ${ELSEWHERE[name]}`);
    if (key === undefined) engineArgs.push(engineArg(name, value));
    else {
      if (typeof value.value !== 'number') throw value.wrong('a whole number of at least 1');
      put(key, value);
    }
  }
}

function engineArg(name: string, { value, origin }: Field): WrittenEngineArg {
  return { name, value, where: `${located(origin)}${origin.name}` };
}

/** What Ray's `lora_config` is where it says nothing. */
export const LORA_DEFAULTS = {
  dynamicPath: null,
  maxAdaptersPerReplica: 16,
  downloadTimeoutMs: 30_000,
  maxDownloadTries: 10,
} as const satisfies LoraSettings;

function readLora(field: Field, engine: EngineName): LoraSettings {
  const fields = field.fields([
    'dynamic_lora_loading_path',
    'max_num_adapters_per_replica',
    'download_timeout_s',
    'max_download_tries',
  ]);
  if (engine === 'transformers') throw field.refused('engine transformers loads no adapters', 'use engine vLLM');
  const timeout = fields.get('download_timeout_s')?.number({ min: Number.MIN_VALUE, max: 86_400 });
  const written = (field.value as { download_timeout_s?: unknown }).download_timeout_s;
  return {
    dynamicPath: readAdapterPath(fields.get('dynamic_lora_loading_path')),
    maxAdaptersPerReplica:
      fields.get('max_num_adapters_per_replica')?.number({ min: 1, whole: true }) ??
      LORA_DEFAULTS.maxAdaptersPerReplica,
    downloadTimeoutMs:
      timeout === undefined ? (written === null ? null : LORA_DEFAULTS.downloadTimeoutMs) : timeout * 1000,
    maxDownloadTries:
      fields.get('max_download_tries')?.number({ min: 1, max: 1000, whole: true }) ?? LORA_DEFAULTS.maxDownloadTries,
  };
}

function readAdapterPath(field: Field | undefined): string | null {
  const path = field?.text('a folder or s3://bucket/prefix') ?? null;
  if (field !== undefined && path !== null && isBucketUrl(path) && readBucketUrl(path) === null)
    throw field.wrong('a folder or s3://bucket/prefix', 'leave out empty parts, `.` and `..`');
  return path;
}

/** What the server itself sets in ranks. */
const OURS = new Set([
  ...['CUDA_VISIBLE_DEVICES', 'ASCEND_RT_VISIBLE_DEVICES', 'CUDA_DEVICE_ORDER'],
  ...['RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT', 'PYTHONUNBUFFERED'],
]);

const PACKAGES = 'ranks run in one environment of Python: make it with `twinkle-node setup`, or name yours by --python';

function readRuntimeEnv(field: Field | undefined): Record<string, string> {
  const fields = field?.fields(['env_vars'], {
    ...{ pip: PACKAGES, uv: PACKAGES, conda: PACKAGES, py_modules: PACKAGES, image_uri: PACKAGES, container: PACKAGES },
    working_dir: 'ranks run in the folder of the server; leave it out',
  });
  const result: Record<string, string> = {};
  for (const [name, value] of fields?.get('env_vars')?.entries() ?? []) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) throw value.refused('is no name of a variable');
    if (OURS.has(name) || name.startsWith('TWINKLE_'))
      throw value.refused('twinkle-node sets it for each rank; leave it out');
    if (typeof value.value !== 'string') throw value.wrong('text', 'write it in quotes');
    result[name] = value.value;
  }
  return result;
}

/** Words for an unknown field beside `llm_configs` that belongs into them. */
export function belongsInLlmConfigs(name: string): string {
  const fields: readonly string[] = FIELDS;
  return fields.includes(name) ? '; it belongs into an item of llm_configs' : '';
}
