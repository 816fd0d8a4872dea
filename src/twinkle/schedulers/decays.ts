/** Schedulers that multiply the learning rate by a factor of the step: those of torch.optim.lr_scheduler without a cosine. */
import { type Field, number, whole } from '../arguments.js';
import { rule } from './rule.js';

const iterations = whole({ min: 0 }, 5);

/** `factor` until `total_iters`. With `total_iters` 0 torch never takes the factor back. */
export const constant = rule(
  'ConstantLR',
  { factor: number({ above: 0, max: 1 }, 1 / 3), total_iters: iterations },
  ({ factor, total_iters }, base, steps) => (total_iters > 0 && steps >= total_iters ? base : base * factor),
);

/** From `start_factor` to `end_factor`. With `total_iters` 0 torch stays at the start. */
export const linear = rule(
  'LinearLR',
  {
    start_factor: number({ above: 0, max: 1 }, 1 / 3),
    end_factor: number({ min: 0, max: 1 }, 1),
    total_iters: iterations,
  },
  ({ end_factor, start_factor, total_iters }, base, steps) => {
    const way = total_iters === 0 ? 0 : Math.min(steps, total_iters) / total_iters;
    return base * (start_factor + (end_factor - start_factor) * way);
  },
);

/** A factor `gamma` each step. */
export const exponential = rule(
  'ExponentialLR',
  { gamma: number({ min: 0 }) },
  ({ gamma }, base, steps) => base * gamma ** steps,
);

/** A factor `gamma` every `step_size` steps. */
export const step = rule(
  'StepLR',
  { step_size: whole({ min: 1 }), gamma: number({ min: 0 }, 0.1) },
  ({ gamma, step_size }, base, steps) => base * gamma ** Math.floor(steps / step_size),
);

const milestones: Field<readonly number[]> = {
  expected: 'an array of whole numbers of at least 0',
  absent: null,
  parse: (value) => {
    if (!Array.isArray(value)) return undefined;
    const list: unknown[] = value;
    return list.every((one): one is number => Number.isSafeInteger(one) && (one as number) >= 0) ? list : undefined;
  },
};

/** A factor `gamma` at each milestone; one that is named twice counts twice. */
export const multiStep = rule(
  'MultiStepLR',
  { milestones, gamma: number({ min: 0 }, 0.1) },
  ({ gamma, milestones }, base, steps) => base * gamma ** milestones.filter((one) => one <= steps).length,
);

/** Down to 0 at `total_iters`, by a power of what is left. */
export const polynomial = rule(
  'PolynomialLR',
  { total_iters: iterations, power: number({ min: 0 }, 1) },
  ({ power, total_iters }, base, steps) => {
    const left = total_iters === 0 ? 1 : 1 - Math.min(steps, total_iters) / total_iters;
    return base * left ** power;
  },
);
