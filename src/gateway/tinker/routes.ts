/** The routes that the Tinker SDK speaks to. */
import type { TrainingService } from '../../training/types.js';
import type { Authenticate } from '../http/auth.js';
import type { RouteSpec } from '../http/routes.js';
import { checkpointRoutes } from './checkpoint-routes.js';
import { clientRoutes } from './client-routes.js';
import { downloadRoutes } from './download-routes.js';
import { futureRoutes } from './future-routes.js';
import { TinkerRoutes } from './route.js';
import { samplingRoutes } from './sampling-routes.js';
import { savingRoutes } from './saving-routes.js';
import { sessionRoutes } from './session-routes.js';
import { trainingRoutes } from './training-routes.js';

export function tinkerRoutes(training: TrainingService, authenticate: Authenticate): RouteSpec[] {
  const routes = new TinkerRoutes(training, authenticate);
  return [
    clientRoutes,
    sessionRoutes,
    trainingRoutes,
    savingRoutes,
    checkpointRoutes,
    downloadRoutes,
    samplingRoutes,
    futureRoutes,
  ].flatMap((make) => make(routes));
}
