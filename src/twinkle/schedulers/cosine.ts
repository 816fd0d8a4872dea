/** Schedulers of torch.optim.lr_scheduler that follow a cosine. */
import { number, whole } from '../arguments.js';
import { rule } from './rule.js';

const lowest = number({ min: 0 }, 0);

const between = (low: number, high: number, way: number): number =>
  low + ((high - low) * (1 + Math.cos(Math.PI * way))) / 2;

/** Down to `eta_min` in `T_max` steps, up again in as many, and so on. */
export const cosineAnnealing = rule(
  'CosineAnnealingLR',
  { T_max: whole({ min: 1 }), eta_min: lowest },
  ({ T_max, eta_min }, base, steps) => between(eta_min, base, (steps % (2 * T_max)) / T_max),
);

/** Down to `eta_min` in `T_0` steps, then from the top again, each time `T_mult` as long. */
export const warmRestarts = rule(
  'CosineAnnealingWarmRestarts',
  { T_0: whole({ min: 1 }), T_mult: whole({ min: 1 }, 1), eta_min: lowest },
  ({ T_0, T_mult, eta_min }, base, steps) => {
    let length = T_0;
    let since = T_mult === 1 ? steps % T_0 : steps;
    while (since >= length) {
      since -= length;
      length *= T_mult;
    }
    return between(eta_min, base, since / length);
  },
);
