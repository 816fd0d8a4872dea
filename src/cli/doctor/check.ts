/** What a check of `doctor` finds. */
import type { CliContext } from '../io.js';

/** One line. */
export interface Finding {
  /** Stable word for programs: `memlock`, `port`, … */
  readonly check: string;
  readonly level: 'ok' | 'note' | 'warn' | 'fail';
  readonly message: string;
  /** What to do; null when all is well. */
  readonly fix: string | null;
  /** Exit code when it fails. */
  readonly exit: number;
}

/** What checks look at. */
export interface DoctorScope extends CliContext {
  readonly home: string;
  readonly port: number;
}

/** Looks at one thing. */
export type Check = (scope: DoctorScope) => Finding[] | Promise<Finding[]>;

/** All is well. */
export function ok(check: string, message: string): Finding {
  return { check, level: 'ok', message, fix: null, exit: 0 };
}

/** Neither good nor bad. */
export function note(check: string, message: string): Finding {
  return { check, level: 'note', message, fix: null, exit: 0 };
}

/** It works, but. */
export function warn(check: string, message: string, fix: string): Finding {
  return { check, level: 'warn', message, fix, exit: 0 };
}

/** It will not work. */
export function fail(check: string, message: string, fix: string, exit = 1): Finding {
  return { check, level: 'fail', message, fix, exit };
}
