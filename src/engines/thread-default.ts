/** How many threads vLLM computes with on CPUs. Its libraries read that when they are imported, so it is decided before any Python runs. */
import type { ModelConfig } from '../config/types.js';
import { readModelFacts } from './model-facts.js';

/** Weights below this are read from the cache of one core faster than threads meet. */
const SMALL_BYTES = 64 * 2 ** 20;

/** Variables for the processes of a model; what the user has set comes over them. */
export function threadDefault({
  engine,
  model,
  placement,
}: Pick<ModelConfig, 'engine' | 'model' | 'placement'>): Readonly<Record<string, string>> {
  if (engine !== 'vllm' || placement.accelerator !== null) return {};
  const bytes = readModelFacts(model)?.weightBytes ?? null;
  return bytes !== null && bytes < SMALL_BYTES ? { OMP_NUM_THREADS: '1' } : {};
}
