/** `llmConfigs` of `createServer`, typed: Ray Serve LLM's own names. What they mean is read in `llm-config.ts`. */
import type { Bundle, PlacementStrategy } from './types.js';

/** One model as users of Ray Serve LLM write it. */
export interface LlmConfigInput {
  readonly model_loading_config: {
    /** The name that clients use. */
    readonly model_id: string;
    /** Folder or hub id; none: `model_id`. */
    readonly model_source?: string;
    readonly tokenizer_source?: string;
  };
  /** None: vLLM. */
  readonly llm_engine?: 'vLLM' | 'vllm' | 'transformers' | 'mock';
  /** Arguments of the engine by its Python names. */
  readonly engine_kwargs?: Readonly<Record<string, unknown>>;
  /** `L4`, `H100`, `Ascend910B4`, … */
  readonly accelerator_type?: string;
  readonly placement_group_config?: { readonly strategy?: PlacementStrategy } & (
    | { readonly bundles: readonly Bundle[] }
    | { readonly bundle_per_worker: Bundle }
  );
  readonly deployment_config?: {
    readonly num_replicas?: number | 'auto';
    readonly autoscaling_config?: AutoscalingInput;
    readonly max_ongoing_requests?: number;
    /** −1: no limit. */
    readonly max_queued_requests?: number;
    readonly ray_actor_options?: {
      readonly num_cpus?: number;
      readonly num_gpus?: 0;
      /** Bytes. */
      readonly memory?: number;
      readonly resources?: Bundle;
    };
    readonly request_router_config?: { readonly request_router_class?: string };
  };
  readonly lora_config?: {
    readonly dynamic_lora_loading_path?: string;
    readonly max_num_adapters_per_replica?: number;
    readonly download_timeout_s?: number | null;
    readonly max_download_tries?: number;
  };
  readonly runtime_env?: { readonly env_vars?: Readonly<Record<string, string>> };
}

/** Ray Serve's autoscaling; times in seconds. */
export interface AutoscalingInput {
  readonly min_replicas?: number;
  readonly max_replicas?: number;
  readonly initial_replicas?: number;
  readonly target_ongoing_requests?: number;
  readonly upscale_delay_s?: number;
  readonly downscale_delay_s?: number;
  readonly downscale_to_zero_delay_s?: number;
  readonly upscaling_factor?: number;
  readonly downscaling_factor?: number;
  readonly smoothing_factor?: number;
  readonly upscale_smoothing_factor?: number;
  readonly downscale_smoothing_factor?: number;
  readonly look_back_period_s?: number;
  readonly aggregation_function?: 'mean' | 'max' | 'min';
}
