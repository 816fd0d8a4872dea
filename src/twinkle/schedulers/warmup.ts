/** The schedulers of the Twinkle client's own: up from 0 in `num_warmup_steps`, then down. */
import { number, whole } from '../arguments.js';
import { rule } from './rule.js';

const steps = { num_warmup_steps: whole({ min: 0 }), num_training_steps: whole({ min: 0 }) };

/** Down along `num_cycles` turns of a cosine; half a turn, the default, ends at 0. */
export const cosineWarmup = rule(
  'CosineWarmupScheduler',
  { ...steps, num_cycles: number({ min: 0 }, 0.5) },
  ({ num_cycles, num_training_steps, num_warmup_steps }, base, done) => {
    if (done < num_warmup_steps) return (base * done) / num_warmup_steps;
    const way = (done - num_warmup_steps) / Math.max(1, num_training_steps - num_warmup_steps);
    return base * Math.max(0, (1 + Math.cos(2 * Math.PI * num_cycles * way)) / 2);
  },
);

/** Down to 0 in a straight line. */
export const linearWarmup = rule(
  'LinearWarmupScheduler',
  steps,
  ({ num_training_steps, num_warmup_steps }, base, done) => {
    if (done < num_warmup_steps) return (base * done) / num_warmup_steps;
    return base * Math.max(0, (num_training_steps - done) / Math.max(1, num_training_steps - num_warmup_steps));
  },
);
