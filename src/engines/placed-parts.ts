/** Everything of a configuration that takes places: models that are served, and ranks that train in groups of their own. Pure. */
import type { ModelConfig, ServeConfig, TrainedModel } from '../config/types.js';
import type { GroupShape } from './placement.js';

/** One of them. */
export type PlacedPart = GroupShape & Pick<ModelConfig, 'engine' | 'envVars' | 'autoscaling'>;

/** Models first, in their order. */
export function placedParts({ models, trained }: Pick<ServeConfig, 'models' | 'trained'>): readonly PlacedPart[] {
  return [...models, ...trained.map(trainedPart)];
}

/** How the ranks that train a model are called where models are. */
export const trainerName = ({ name }: Pick<TrainedModel, 'name'>): string => `${name}/train`;

/** Its ranks are those of one replica, one beside another. */
function trainedPart(trained: TrainedModel): PlacedPart {
  const { engine, envVars, model, placement, ranks } = trained;
  const shape = { tensorParallel: 1, pipelineParallel: ranks, dataParallel: 1 };
  return { model, servedNames: [trainerName(trained)], engine, envVars, placement, autoscaling: null, ...shape };
}
