/** A peft LoraConfig, as the client sends it, → the run that it describes. Pure. */
import { TwinkleError } from '../errors.js';
import type { LoraOptions } from '../training/types.js';
import { type Field, flag, type Given, ignored, number, only, readArguments, shown, whole } from './arguments.js';

/** What of a new run the configuration says. */
export interface AdapterShape {
  /** 0: all parameters are trained. */
  readonly rank: number;
  readonly attn: boolean;
  readonly mlp: boolean;
  readonly unembed: boolean;
  readonly lora: LoraOptions;
}

const FULL: AdapterShape = {
  ...{ rank: 0, attn: true, mlp: true, unembed: true },
  lora: { alpha: 1, dropout: 0, targets: null, rslora: false, init: 'default' },
};

/** What peft means by all linear layers: not the last one. */
const ALL = 'all-linear';

const targets: Field<readonly string[] | null> = {
  expected: `"${ALL}", or a list of the last words of layers' names`,
  absent: { is: null },
  parse: (value) => {
    if (value === ALL || value === null) return null;
    const words = Array.isArray(value) ? (value as unknown[]) : [];
    return words.length > 0 && words.every((one) => typeof one === 'string' && /^[\w.]+$/.test(one))
      ? [...new Set(words as string[])].sort()
      : undefined;
  },
};

const init: Field<'default' | 'gaussian'> = {
  expected: 'true, false or "gaussian"',
  absent: { is: 'default' },
  // False is peft's word for weights that come from elsewhere; the peer's server says it for every adapter and begins at zero, too.
  parse: (value) =>
    value === true || value === false || value === null ? 'default' : value === 'gaussian' ? 'gaussian' : undefined,
};

const EMPTY = [null, false, undefined];
const none = (why: string): Field<null> => ({
  ...only([null, false], why),
  parse: (value) => {
    const empty = EMPTY.includes(value as null) || (typeof value === 'object' && Object.keys(value ?? {}).length === 0);
    return empty ? null : undefined;
  },
});

const OTHER_ADAPTERS = 'only LoRA is trained here';
const BY_LAYER = 'all layers of an adapter have the same shape';

const FIELDS = {
  r: whole({ min: 1 }, 8),
  lora_alpha: number({ above: 0 }, 8),
  lora_dropout: number({ min: 0, below: 1 }, 0),
  target_modules: targets,
  use_rslora: flag(false),
  init_lora_weights: init,
  bias: only(['none', null], 'biases are not trained'),
  fan_in_fan_out: only([false, null], 'no model here has such layers'),
  use_dora: none(OTHER_ADAPTERS),
  use_qalora: none(OTHER_ADAPTERS),
  lora_bias: none('biases are not trained'),
  modules_to_save: none('nothing but the adapter is trained'),
  trainable_token_indices: none('nothing but the adapter is trained'),
  target_parameters: none('only linear layers have adapters'),
  rank_pattern: none(BY_LAYER),
  alpha_pattern: none(BY_LAYER),
  layers_to_transform: none(BY_LAYER),
  layers_pattern: none(BY_LAYER),
  exclude_modules: none('name those that are wanted with target_modules'),
  layer_replication: none('layers stay what they are'),
  corda_config: none(OTHER_ADAPTERS),
  eva_config: none(OTHER_ADAPTERS),
  loftq_config: none(OTHER_ADAPTERS),
  megatron_config: none(OTHER_ADAPTERS),
  lora_ga_config: none(OTHER_ADAPTERS),
  arrow_config: none(OTHER_ADAPTERS),
  alora_invocation_tokens: none(OTHER_ADAPTERS),
  monteclora_config: none(OTHER_ADAPTERS),
  ensure_weight_tying: none('weights stay tied as they are'),
  // Of peft's own bookkeeping.
  task_type: ignored,
  peft_type: only(['LORA', null], OTHER_ADAPTERS),
  peft_version: ignored,
  auto_mapping: ignored,
  base_model_name_or_path: ignored,
  revision: ignored,
  inference_mode: ignored,
  megatron_core: ignored,
  qalora_group_size: ignored,
  runtime_config: ignored,
  velora_config: none(OTHER_ADAPTERS),
  use_bdlora: none(OTHER_ADAPTERS),
};

/**
 * @param config JSON text, the object itself, or null: all parameters are trained
 * @throws `INVALID_REQUEST`
 */
export function readLoraConfig(config: unknown): AdapterShape {
  const parsed = typeof config === 'string' ? parse(config) : config;
  if (parsed === null || parsed === undefined) return FULL;
  if (typeof parsed !== 'object' || Array.isArray(parsed)) throw wrong(config);
  const { _TWINKLE_TYPE_: type = 'LoraConfig', ...fields } = parsed as Given;
  if (type !== 'LoraConfig') throw wrong(config);
  const read = readArguments('LoraConfig', fields, withUnknown(fields));
  const { init_lora_weights, lora_alpha, lora_dropout, r, target_modules, use_rslora } = read;
  return {
    rank: r,
    ...{ attn: true, mlp: true, unembed: false },
    lora: {
      ...{ alpha: lora_alpha, dropout: lora_dropout, targets: target_modules },
      ...{ rslora: use_rslora, init: init_lora_weights },
    },
  };
}

/** Fields that a later peft has: fine while they say nothing. */
function withUnknown(fields: Given): typeof FIELDS {
  const later = Object.keys(fields).filter(
    (name) => !Object.hasOwn(FIELDS, name) && EMPTY.includes(fields[name] as null),
  );
  return { ...FIELDS, ...Object.fromEntries(later.map((name) => [name, ignored])) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw wrong(text);
  }
}

const wrong = (config: unknown): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', `expected a LoraConfig for \`config\` but received ${shown(config)}`, {
    param: 'config',
  });
