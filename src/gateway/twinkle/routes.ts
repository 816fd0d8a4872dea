/** The routes of Twinkle's own gateway, `/api/v1/twinkle/…`: what `TwinkleClient` of twinkle-kit asks. */

import type { TrainingService } from '../../training/types.js';
import type { GatewayContext } from '../context.js';
import type { RouteSpec } from '../http/routes.js';
import { TinkerRoutes } from '../tinker/route.js';
import { checkpointRoutes } from './checkpoint-routes.js';
import { serverRoutes } from './server-routes.js';
import { sessionRoutes } from './session-routes.js';

export function twinkleRoutes(training: TrainingService, context: GatewayContext): RouteSpec[] {
  const routes = new TinkerRoutes(training, context.authenticate, { prefix: '/api/v1/twinkle/', tag: 'twinkle' });
  return [...serverRoutes(routes, context), ...sessionRoutes(routes), ...checkpointRoutes(routes)];
}
