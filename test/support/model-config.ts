/** A model's configuration for tests: what `serve mock` is compiled to (compile.test.ts holds it to that), with what a test changes. */
import type { ModelConfig, ModelPlacement } from '../../src/config/types.js';

/** What a test changes; `servedNames` are `[model]` unless given. */
export interface ModelChange extends Partial<Omit<ModelConfig, 'placement'>> {
  readonly placement?: Partial<ModelPlacement>;
}

/** One mock rank on the CPU, and `change` over it. */
export function modelConfig({ model = 'mock', placement, ...change }: ModelChange = {}): ModelConfig {
  return {
    model,
    servedNames: [model],
    engine: 'mock',
    tensorParallel: 1,
    pipelineParallel: 1,
    dataParallel: 1,
    placement: {
      accelerator: null,
      acceleratorType: null,
      strategy: 'PACK',
      dataParallel: 'replica',
      bundles: null,
      replicaCpus: null,
      ...placement,
    },
    maxModelLen: null,
    engineArgs: {},
    autoscaling: null,
    maxOngoing: null,
    maxQueued: null,
    routing: 'least-loaded',
    lora: null,
    envVars: {},
    ...change,
  };
}
