/** A model with ranks of its own that train, for tests: one rank of mock on the CPU, and what a test changes. */
import type { ModelPlacement, TrainedModel } from '../../src/config/types.js';
import { modelConfig } from './model-config.js';

export interface TrainedChange extends Partial<Omit<TrainedModel, 'placement'>> {
  readonly placement?: Partial<ModelPlacement>;
}

export function trainedModel({ name = 'm', placement, ...change }: TrainedChange = {}): TrainedModel {
  return {
    name,
    model: name,
    engine: 'mock',
    ranks: 1,
    shard: false,
    placement: modelConfig({ placement: placement ?? {} }).placement,
    maxModelLen: null,
    full: false,
    maxRuns: 1,
    maxLifeMs: null,
    silenceMs: 1_800_000,
    envVars: {},
    ...change,
  };
}
