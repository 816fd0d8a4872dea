/** What models clients may name. Pure. */
import type { ServedModel } from '../serving/types.js';
import { limitsOf } from './limits.js';
import type { ModelLimits, TrainerHost } from './trainer.js';
import type { RunStatus } from './types/progress.js';
import type { Capability } from './types.js';

/** Of those that are up, each of their names. */
export function capabilitiesOf(
  models: readonly ServedModel[],
  trainers: Pick<TrainerHost, 'trains' | 'trainedOnly'>,
): readonly Capability[] {
  const served = models.flatMap(({ card, names }) =>
    card === null
      ? []
      : names.map((model) => ({
          model,
          maxContextLength: card.max_model_len,
          trainable: trainers.trains(names[0] ?? ''),
        })),
  );
  const others = (trainers.trainedOnly?.() ?? []).flatMap(({ maxModelLen, name }) =>
    maxModelLen === null ? [] : [{ model: name, maxContextLength: maxModelLen, trainable: true }],
  );
  return [...served, ...others];
}

/** Runs that fit on the ranks of all models at a time, and those that are there. */
export function capacityOf(
  models: readonly ServedModel[],
  trainers: Pick<TrainerHost, 'trains' | 'trainedOnly' | 'limits'>,
  runs: readonly Pick<RunStatus, 'state'>[],
  rules: ModelLimits,
): { readonly most: number; readonly used: number } {
  const served = models.map(({ names }) => names[0] ?? '').filter((name) => trainers.trains(name));
  const others = (trainers.trainedOnly?.() ?? []).map(({ name }) => name);
  const most = [...served, ...others].reduce((sum, name) => sum + limitsOf(trainers, name, rules).maxRuns, 0);
  return { most, used: runs.filter(({ state }) => state === 'starting' || state === 'ready').length };
}
