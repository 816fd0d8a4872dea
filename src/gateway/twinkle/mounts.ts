/** Where the routes of models and samplers are: below a path for each. */

import type { TrainingService } from '../../training/types.js';
import type { Authenticate } from '../http/auth.js';
import { TinkerRoutes } from '../tinker/route.js';
import type { TwinkleMount } from '../types.js';

/** Characters that mean something in paths of routes. */
const escaped = (path: string): string => path.replaceAll(':', '::');

/** The routes below one path of an application. */
export function routesAt(path: string, training: TrainingService, authenticate: Authenticate): TinkerRoutes {
  return new TinkerRoutes(training, authenticate, { prefix: `${escaped(path)}/`, tag: 'twinkle' });
}

/** A star would be a wildcard. */
export const canMount = ({ name }: TwinkleMount): boolean => !name.includes('*');
