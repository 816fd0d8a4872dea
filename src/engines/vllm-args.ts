/** The arguments of `vllm serve`, by vLLM's own names. Pure table. */
import type { EngineArgSpec } from './args.js';

/** Argument (snake case) → what it takes. */
export const VLLM_ARGS: Readonly<Record<string, EngineArgSpec>> = {
  dtype: { kind: 'string', help: 'Type of the weights and the activations' },
  enforce_eager: { kind: 'boolean', help: 'Run without compiled graphs' },
  kv_cache_memory_bytes: { kind: 'integer', min: 1, help: 'Size of the KV cache of each rank' },
  gpu_memory_utilization: { kind: 'number', min: 0.01, max: 1, help: 'Share of the device memory to use' },
  max_num_seqs: { kind: 'integer', min: 1, help: 'Requests that advance together at most' },
  seed: { kind: 'integer', min: 0, help: 'Seed of requests that bring none' },
};
