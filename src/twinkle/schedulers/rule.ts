/** What a scheduler of learning rates is here: its arguments, and its learning rate as a closed form of the steps taken. */
import { type Field, type Given, only, readArguments, type Values } from '../arguments.js';

/** Arguments with defaults filled in: plain JSON. */
export type SchedulerKwargs = Readonly<Record<string, unknown>>;

/** One kind of scheduler. */
export interface SchedulerRule {
  /** @throws `INVALID_REQUEST` */
  read(given: Given): SchedulerKwargs;
  /** After `steps` steps; 0: just made. @throws `INVALID_REQUEST` where the schedule has ended */
  lr(kwargs: SchedulerKwargs, baseLr: number, steps: number): number;
}

type Fields = Readonly<Record<string, Field<unknown>>>;

/** The argument that all of torch's have. */
export const lastEpoch = only([-1], 'a scheduler starts at its beginning');

/** A rule from its fields and its closed form. */
export function rule<const F extends Fields>(
  name: string,
  fields: F,
  lr: (kwargs: Values<F>, baseLr: number, steps: number) => number,
): SchedulerRule {
  return {
    read: (given) => {
      const { last_epoch: _, ...kwargs } = readArguments(name, given, {
        ...fields,
        last_epoch: lastEpoch,
      }) as SchedulerKwargs;
      return kwargs;
    },
    lr: (kwargs, baseLr, steps) => lr(kwargs as Values<F>, baseLr, steps),
  };
}
