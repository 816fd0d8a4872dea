/** Why a model takes no request, in words for clients. Knows no queue and no replica. */
import { type ErrorCode, TwinkleError } from '../errors.js';
import type { ServedModel } from './types.js';

/** Too many wait already. @param waitMs how long a place in the queue may take to become free */
export function overloaded(name: string, maxQueue: number, waitMs: number): TwinkleError {
  const seconds = Math.ceil(waitMs / 1000);
  return new TwinkleError(
    'OVERLOADED',
    `${maxQueue} requests already wait for model \`${name}\`; try again in about ${seconds} s`,
    { retryAfterMs: seconds * 1000 },
  );
}

/** No replica takes requests. */
export function notReady(model: Pick<ServedModel, 'names' | 'state' | 'reason' | 'progress'>): TwinkleError {
  const { names, state, reason, progress } = model;
  const why = reason ?? (progress === null ? 'it has just been started' : `phase ${progress.phase}`);
  return new TwinkleError('NOT_READY', `model \`${names[0]}\` is ${state}: ${why}`, {
    ...(state === 'failed' ? {} : { retryAfterMs: 1000 }),
  });
}

/** Its engine takes no LoRA adapters. @param code as the client's API has it: a route that is missing, or a field that cannot be honoured */
export function takesNoAdapters(code: ErrorCode, { card, names }: Pick<ServedModel, 'card' | 'names'>): TwinkleError {
  const { engine = '' } = card ?? {};
  const advice = engine === 'vllm' ? 'start it with --enable-lora' : `engine ${engine} has none for it`;
  return new TwinkleError(code, `model \`${names[0]}\` takes no LoRA adapters: ${advice}`);
}

/** The server ends. */
export function draining(): TwinkleError {
  return new TwinkleError('DRAINING', 'the server is shutting down and takes no new work', { retryAfterMs: 5000 });
}
