/** What a head offers by Twinkle's API, and below which paths: those of its file, or for other servers those that clients build. Wiring only. */
import type { ServeConfig } from '../config/types.js';
import type { TwinkleMount, TwinkleOffer } from '../gateway/types.js';
import type { TrainingService } from '../training/types.js';
import { Encoders } from '../twinkle/encoders.js';
import { AdaptedModels } from '../twinkle/models.js';
import { SampledModels } from '../twinkle/samplers.js';
import { exportsFor } from './export-checkpoint.js';

export function twinkleOffer(
  { models, twinkle }: Pick<ServeConfig, 'models' | 'twinkle'>,
  training: TrainingService,
  /** Whether only users of this machine can ask. */
  local: boolean,
): TwinkleOffer {
  const named = (kind: 'model' | 'sampler'): readonly TwinkleMount[] => {
    if (twinkle === null) {
      const names = models.flatMap(({ servedNames }) => servedNames);
      return names.map((name) => ({ name, prefixes: [`/api/v1/${kind}/${name}`] }));
    }
    return twinkle.applications.flatMap((app) =>
      app.kind === kind ? [{ name: app.modelName, prefixes: app.prefixes }] : [],
    );
  };
  return {
    models: new AdaptedModels({
      training,
      encoders: new Encoders(training.direct),
      exports: exportsFor(local),
      nowMs: Date.now,
    }),
    samplers: new SampledModels(training),
    trained: named('model'),
    sampled: named('sampler'),
  };
}
