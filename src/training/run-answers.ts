/** What requests of runs are answered with, and operations that tell when they are over. Pure. */
import { TwinkleError } from '../errors.js';
import { encodeForwardBackwardOutput } from '../protocol/tinker/forward-backward-output.js';
import type { TrainOutcome, TrainWork } from '../protocol/training.js';
import type { Trainer } from './trainer.js';
import type { QueuedRun } from './trainer-queue.js';
import type { FutureFailure, FutureResult } from './types.js';

/** An operation of a run. */
export type RunOperation = QueuedRun['waiting'][number];

/** How something takes its turn. */
export interface OrderOptions {
  /** Whether it is given up when it takes too long. */
  readonly limited?: boolean;
  /** It waits for this in its turn, and those behind it, too. */
  readonly ready?: Promise<unknown> | null;
  readonly sent?: () => void;
}

/** @param over called once, when it is done or has failed */
export function tracked(operation: RunOperation, over: () => void): RunOperation {
  const failed = (error: unknown): void => {
    operation.failed(error);
    over();
  };
  if (operation.kind === 'call') {
    const send = async (trainer: Trainer): Promise<void> => {
      await operation.send(trainer);
      over();
    };
    return { ...operation, send, failed };
  }
  const done = (outcome: TrainOutcome): void => {
    operation.done(outcome);
    over();
  };
  return { ...operation, done, failed };
}

/** JSON as the answer of a request. */
export function jsonAnswer(value: object): FutureResult {
  return { kind: 'json', bytes: Buffer.from(JSON.stringify(value)) };
}

/** What ranks made of a pass, as the answer of a request. */
export function passAnswer({ failure, metrics, outputs, shapes }: TrainOutcome): FutureResult | FutureFailure {
  if (failure !== null) return { error: failure.message, category: failure.user ? 'user' : 'server' };
  return { kind: 'protobuf', bytes: encodeForwardBackwardOutput({ shapes, fields: outputs, metrics }) };
}

/** Why a pass came to nothing, as an error. */
export function passFailure({ message, user }: NonNullable<TrainOutcome['failure']>): TwinkleError {
  return new TwinkleError(user ? 'INVALID_REQUEST' : 'ENGINE_ERROR', message);
}

/** Of all datums. */
export const tokensOf = ({ lengths }: Pick<TrainWork, 'lengths'>): number =>
  lengths.reduce((sum, length) => sum + length, 0);
