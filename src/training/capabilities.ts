/** What models clients may name. Pure. */
import type { ServedModel } from '../serving/types.js';
import type { TrainerHost } from './trainer.js';
import type { Capability } from './types.js';

/** Of those that are up, each of their names. */
export function capabilitiesOf(
  models: readonly ServedModel[],
  trainers: Pick<TrainerHost, 'trains'>,
): readonly Capability[] {
  return models.flatMap(({ card, names }) =>
    card === null
      ? []
      : names.map((model) => ({
          model,
          maxContextLength: card.max_model_len,
          trainable: trainers.trains(names[0] ?? ''),
        })),
  );
}
