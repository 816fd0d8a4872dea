/** What the file of a Twinkle Server says of training and sampling, as the training service knows it. Wiring only. */

import type { QueueLimits, TwinkleConfig } from '../config/twinkle/types.js';
import type { ServeConfig } from '../config/types.js';
import { Admission, type Admissions, UNLIMITED } from '../training/admission.js';
import type { TrainingRules } from '../training/limits.js';

/** What is said of all keys and models. */
export function trainingRules({
  training,
  twinkle,
}: Pick<ServeConfig, 'training' | 'twinkle'>): Partial<TrainingRules> {
  const server = twinkle?.applications.find((app) => app.kind === 'server');
  if (server === undefined) return training;
  return { ...training, runs: server.modelsPerToken, sessionSilenceMs: server.sessionTimeoutMs };
}

/** Names of models that clients may ask for; null: all there are. */
export function supportedModels(twinkle: TwinkleConfig | null): readonly string[] | null {
  return twinkle?.applications.find((app) => app.kind === 'server')?.supportedModels ?? null;
}

/** Limits of each model and sampler. */
export function admissionsOf(twinkle: TwinkleConfig | null, nowMs: () => number): Admissions {
  if (twinkle === null) return UNLIMITED;
  const [training, sampling] = (['model', 'sampler'] as const).map((kind) => {
    const of = new Map<string, Admission>();
    for (const app of twinkle.applications)
      if (app.kind === kind)
        of.set(app.modelName, new Admission(limitsOf(app.queue), `${kind} ${app.modelName}`, nowMs));
    return of;
  });
  return { training: (model) => training?.get(model) ?? null, sampling: (model) => sampling?.get(model) ?? null };
}

function limitsOf({ executionTimeoutMs, maxInputTokens, queueTimeoutMs, requests, tokens, windowMs }: QueueLimits) {
  return { executionTimeoutMs, maxInputTokens, queueTimeoutMs, requests, tokens, windowMs };
}
