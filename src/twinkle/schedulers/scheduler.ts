/** Learning-rate schedulers by name and arguments: state that survives as JSON, and the learning rate as a function of it. Pure. */
import { anything, type Given, named, object, readArguments, whole } from '../arguments.js';
import { cosineAnnealing, warmRestarts } from './cosine.js';
import { constant, exponential, linear, multiStep, polynomial, step } from './decays.js';
import { oneCycleRule } from './one-cycle.js';
import type { SchedulerKwargs, SchedulerRule } from './rule.js';
import { cosineWarmup, linearWarmup } from './warmup.js';

/** A scheduler: plain JSON. */
export interface Scheduler {
  readonly name: string;
  /** With defaults filled in. */
  readonly kwargs: SchedulerKwargs;
  /** How often its `step` was called. */
  readonly steps: number;
}

const RULES: Readonly<Record<string, SchedulerRule>> = {
  ConstantLR: constant,
  LinearLR: linear,
  ExponentialLR: exponential,
  StepLR: step,
  MultiStepLR: multiStep,
  CosineAnnealingLR: cosineAnnealing,
  CosineAnnealingWarmRestarts: warmRestarts,
  PolynomialLR: polynomial,
  OneCycleLR: oneCycleRule,
  CosineWarmupScheduler: cosineWarmup,
  LinearWarmupScheduler: linearWarmup,
};

const FUNCTIONS = 'a function of the client cannot travel';
const OTHERS = 'it is made of other schedulers';
const IMPOSSIBLE: Readonly<Record<string, string>> = {
  LambdaLR: FUNCTIONS,
  MultiplicativeLR: FUNCTIONS,
  SequentialLR: OTHERS,
  ChainedScheduler: OTHERS,
  ReduceLROnPlateau: 'its steps need a metric',
  CyclicLR: 'the momentum is not cycled here',
  OptimizerParamScheduler: 'it is Megatron’s',
  default: 'it is Megatron’s',
};

/**
 * A scheduler before its first step.
 * @param name as in torch.optim.lr_scheduler, or one of the Twinkle client's own
 * @throws `INVALID_REQUEST`
 */
export function makeScheduler(name: unknown, given: Given): Scheduler {
  const kwargs = named('scheduler_cls', name, RULES, IMPOSSIBLE).read(given);
  return { name: name as string, kwargs, steps: 0 };
}

const KEPT = { name: anything, kwargs: object, steps: whole({ min: 0 }) };

/**
 * A scheduler as it was kept where others may have written.
 * @throws `INVALID_REQUEST`
 */
export function keptScheduler(given: Given): Scheduler {
  const { kwargs, name, steps } = readArguments('lr_scheduler', given, KEPT);
  const scheduler = { ...makeScheduler(name, kwargs), steps };
  lrAt(scheduler, 0, steps);
  return scheduler;
}

/**
 * The learning rate that a scheduler has set after so many steps; at 0, too, where many schedulers set one already.
 * @param baseLr the optimizer's own
 * @throws `INVALID_REQUEST` beyond the last step of OneCycleLR: to be asked before a step is counted
 */
export function lrAt({ kwargs, name }: Pick<Scheduler, 'name' | 'kwargs'>, baseLr: number, steps: number): number {
  return named('scheduler_cls', name, RULES, IMPOSSIBLE).lr(kwargs, baseLr, steps);
}

/** The scheduler after one more step. @throws as {@link lrAt} */
export function stepScheduler(scheduler: Scheduler): Scheduler {
  const steps = scheduler.steps + 1;
  lrAt(scheduler, 0, steps);
  return { ...scheduler, steps };
}
