/** torch.optim.lr_scheduler.OneCycleLR, of the learning rate alone: steps here have one momentum from the first to the last. */
import { TwinkleError } from '../../errors.js';
import { type Field, flag, type Given, ignored, maybe, number, type Values, whole, word } from '../arguments.js';
import { rule, type SchedulerRule } from './rule.js';

const momentum: Field<false> = {
  expected: 'false, because the momentum is not cycled here (absent, it is true)',
  absent: null,
  parse: (value) => (value === false ? false : undefined),
};

const fields = {
  max_lr: number({ above: 0 }),
  total_steps: maybe(whole({ min: 1 })),
  epochs: maybe(whole({ min: 1 })),
  steps_per_epoch: maybe(whole({ min: 1 })),
  pct_start: number({ min: 0, max: 1 }, 0.3),
  anneal_strategy: word(['cos', 'linear'], 'cos'),
  cycle_momentum: momentum,
  base_momentum: ignored,
  max_momentum: ignored,
  div_factor: number({ above: 0 }, 25),
  final_div_factor: number({ above: 0 }, 1e4),
  three_phase: flag(false),
};

type Kwargs = Values<typeof fields>;

const refused = (message: string, param: string): TwinkleError =>
  new TwinkleError('INVALID_REQUEST', message, { param });

/** `total_steps` rules over the other two, as in torch. */
function length({ epochs, steps_per_epoch, total_steps }: Kwargs): number {
  if (total_steps !== null) return total_steps;
  if (epochs !== null && steps_per_epoch !== null) return epochs * steps_per_epoch;
  throw refused('OneCycleLR needs `total_steps`, or `epochs` and `steps_per_epoch`', 'total_steps');
}

/** Where each phase ends and the learning rate there; the first begins at step 0 with `initial`. */
function phases(kwargs: Kwargs): { readonly initial: number; readonly ends: readonly (readonly [number, number])[] } {
  const { div_factor, final_div_factor, max_lr, pct_start, three_phase } = kwargs;
  const total = length(kwargs);
  const initial = max_lr / div_factor;
  const up = [pct_start * total - 1, max_lr] as const;
  const down = [2 * pct_start * total - 2, initial] as const;
  const out = [total - 1, initial / final_div_factor] as const;
  return { initial, ends: three_phase ? [up, down, out] : [up, out] };
}

function oneCycle(kwargs: Kwargs, _base: number, steps: number): number {
  const total = length(kwargs);
  if (steps > total)
    throw refused(`OneCycleLR ends after ${total} steps; make it longer to take step ${steps}`, 'total_steps');
  const { ends, initial } = phases(kwargs);
  const at = ends.findIndex(([end]) => steps <= end);
  const phase = at === -1 ? ends.length - 1 : at;
  const [from, low] = ends[phase - 1] ?? [0, initial];
  const [to, high] = ends[phase] ?? [0, initial];
  const way = (steps - from) / (to - from);
  const lr =
    kwargs.anneal_strategy === 'cos'
      ? high + ((low - high) * (1 + Math.cos(Math.PI * way))) / 2
      : low + (high - low) * way;
  if (Number.isFinite(lr)) return lr;
  throw refused(`a phase of OneCycleLR has no steps with \`pct_start\` ${kwargs.pct_start} of ${total}`, 'pct_start');
}

const unchecked = rule('OneCycleLR', fields, oneCycle);

/** Up to `max_lr` and down again; what the optimizer's learning rate was does not matter. */
export const oneCycleRule: SchedulerRule = {
  read: (given: Given) => {
    const kwargs = unchecked.read(given);
    unchecked.lr(kwargs, 0, 0);
    return kwargs;
  },
  lr: unchecked.lr,
};
