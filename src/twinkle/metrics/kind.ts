/** What a metric is here: totals that survive as JSON, and functions of them. */
import { type Field, type Given, readArguments, type Values } from '../arguments.js';
import type { Moment, Sample } from './sample.js';

/** What a metric says, by name. Texts are as clients print them. */
export type MetricValues = Readonly<Record<string, unknown>>;

/** One kind of metric. Options and totals are plain JSON. */
export interface MetricKind {
  /** @throws `INVALID_REQUEST` */
  options(given: Given): unknown;
  start(nowMs: number): unknown;
  add(totals: unknown, sample: Sample, options: unknown): unknown;
  /** What there is to say, and the totals to go on with. */
  finish(totals: unknown, moment: Moment, nowMs: number, options: unknown): Finished<unknown>;
}

/** See {@link MetricKind.finish}. */
export interface Finished<T> {
  readonly values: MetricValues;
  readonly totals: T;
}

interface Functions<O, T> {
  start(nowMs: number): T;
  add(totals: T, sample: Sample, options: O): T;
  finish(totals: T, moment: Moment, nowMs: number, options: O): Finished<T>;
}

type Fields = Readonly<Record<string, Field<unknown>>>;

/** A kind from its arguments and its functions, which know their own totals. */
export function kind<const F extends Fields, T>(
  name: string,
  fields: F,
  { add, finish, start }: Functions<Values<F>, T>,
): MetricKind {
  return {
    options: (given) => readArguments(name, given, fields),
    start,
    add: (totals, sample, options) => add(totals as T, sample, options as Values<F>),
    finish: (totals, moment, nowMs, options) => finish(totals as T, moment, nowMs, options as Values<F>),
  };
}
