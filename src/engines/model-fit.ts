/** Whether a model can be split as asked, and whether its weights fit: what would fail minutes later in a rank. Pure. */
import type { ModelConfig } from '../config/types.js';
import { TwinkleError } from '../errors.js';
import type { ModelFacts } from './model-facts.js';

/** What of a model's configuration matters here. */
export type FitShape = Pick<ModelConfig, 'model' | 'tensorParallel' | 'pipelineParallel' | 'engineArgs'>;

/** Share of the device memory that vLLM uses where nobody says: that of its newest version, which is the largest. */
const DEFAULT_UTILIZATION = 0.92;
/** A suggestion leaves this share of that to the KV cache and activations. */
const SPARE = 0.15;
/** Arguments that make the files say something else than what is loaded. */
const REWRITES = ['hf_overrides', 'hf_config_path', 'config_format', 'speculative_config'];
const RESIZES = [
  'quantization',
  'quantization_config',
  'dtype',
  'load_format',
  'cpu_offload_gb',
  'offload_backend',
  'offload_group_size',
];

/**
 * Tensor parallelism splits attention heads, and copies key-value heads where there are fewer of them than ranks. Pipeline parallelism
 * splits layers.
 * @throws `CONFIG_INVALID` with the sizes that do work
 */
export function checkSplit(facts: ModelFacts, shape: FitShape): void {
  if (REWRITES.some((name) => name in shape.engineArgs)) return;
  const { tensorParallel: tensor, pipelineParallel: stages } = shape;
  const { attentionHeads, keyValueHeads, layers } = facts;
  if (!splits(facts, tensor)) {
    const heads = `${attentionHeads} attention heads${keyValueHeads === null ? '' : ` and ${keyValueHeads} key-value heads`}`;
    const limit = attentionHeads ?? 1;
    const sizes = Array.from({ length: limit }, (_, index) => index + 1).filter((size) => splits(facts, size));
    throw wrong(
      'tensor-parallel-size',
      `a size that divides ${heads}`,
      tensor,
      `${shape.model} takes ${sizes.join(', ')}`,
    );
  }
  if (layers !== null && stages > layers) {
    throw wrong('pipeline-parallel-size', `at most ${layers}`, stages, `${shape.model} has ${layers} layers`);
  }
}

/**
 * Weights against the memory of the smallest device, a lower bound: caches and activations come on top.
 * @param deviceBytes memory of each device
 * @throws `CONFIG_INVALID` that says how much is missing and which tensor parallelism would do
 */
export function checkMemory(facts: ModelFacts, shape: FitShape, deviceBytes: number): void {
  const { engineArgs, tensorParallel, pipelineParallel } = shape;
  if (facts.weightBytes === null || [...REWRITES, ...RESIZES].some((name) => name in engineArgs)) return;
  const given = engineArgs.gpu_memory_utilization;
  const utilization = typeof given === 'number' ? given : DEFAULT_UTILIZATION;
  const budget = deviceBytes * utilization;
  const each = (tensor: number): number => (facts.weightBytes as number) / (tensor * pipelineParallel);
  const need = each(tensorParallel);
  if (need < budget) return;
  const most = facts.attentionHeads ?? 1;
  const larger = Array.from({ length: most }, (_, index) => index + 1).find(
    (size) => size > tensorParallel && splits(facts, size) && each(size) <= budget * (1 - SPARE),
  );
  const ranks = tensorParallel * pipelineParallel;
  throw new TwinkleError(
    'CONFIG_INVALID',
    `${shape.model} is too big for ${ranks === 1 ? 'one device' : `${ranks} devices`}: its weights take ${gib(need)} on each, ` +
      `which gives ${gib(budget)} (${gib(deviceBytes)} × gpu_memory_utilization ${utilization}): ${gib(need - budget)} are missing; ` +
      (larger === undefined
        ? 'no tensor parallelism alone makes it fit: use more pipeline stages, larger devices or a quantized model'
        : `it fits with --tensor-parallel-size ${larger}`),
    { details: { missingBytes: Math.ceil(need - budget), fittingTensorParallel: larger ?? null } },
  );
}

function splits({ attentionHeads, keyValueHeads }: ModelFacts, size: number): boolean {
  if (attentionHeads !== null && attentionHeads % size !== 0) return false;
  return keyValueHeads === null || keyValueHeads % size === 0 || size % keyValueHeads === 0;
}

function wrong(option: string, expected: string, received: number, advice: string): TwinkleError {
  return new TwinkleError(
    'CONFIG_INVALID',
    `expected ${expected} for \`--${option}\` but received ${received}; ${advice}`,
  );
}

function gib(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
