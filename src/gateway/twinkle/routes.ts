/** The routes of Twinkle's own gateway, `/api/v1/twinkle/…`: what `TwinkleClient` of twinkle-kit asks. */

import type { TrainingService } from '../../training/types.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import { TinkerRoutes } from '../tinker/route.js';
import type { TwinkleMount } from '../types.js';
import { checkpointRoutes } from './checkpoint-routes.js';
import { adapterRoutes } from './model-routes.js';
import { canMount, routesAt } from './mounts.js';
import { completionRoutes } from './sampler-routes.js';
import { serverRoutes } from './server-routes.js';
import { sessionRoutes } from './session-routes.js';

export function twinkleRoutes(training: TrainingService, context: GatewayContext): RouteSpec[] {
  const routes = new TinkerRoutes(training, context.authenticate, { prefix: '/api/v1/twinkle/', tag: 'twinkle' });
  const own = [...serverRoutes(routes, context), ...sessionRoutes(routes), ...checkpointRoutes(routes)];
  const { authenticate, twinkle } = context;
  if (twinkle === null) return own;
  const below = (mounts: readonly TwinkleMount[], make: (routes: TinkerRoutes, model: string) => RouteSpec[]) =>
    mounts.filter(canMount).flatMap(({ name, prefixes }) =>
      prefixes.flatMap((path, at) =>
        // The reference shows each once.
        make(routesAt(path, training, authenticate), name).map((spec) => ({ ...spec, hidden: at > 0 })),
      ),
    );
  return [
    ...own,
    ...below(twinkle.trained, (made, model) => adapterRoutes(made, twinkle.models, model)),
    ...below(twinkle.sampled, (made, model) => completionRoutes(made, twinkle.samplers, model)),
  ];
}
