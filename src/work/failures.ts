/** Errors as what travels, and as what programs catch. The codes are those of src/errors.ts. */
import { Packr } from 'msgpackr';
import { isErrorCode, TwinkleError } from '../errors.js';
import type { ActorState, Value } from '../protocol/work.js';

/** As core/failure.py packs an exception. */
interface PackedError {
  readonly type: string;
  readonly message: string;
  readonly traceback: string;
  readonly where: string;
  readonly pickled?: Uint8Array | null;
}

const packr = new Packr({ useRecords: false, mapsAsObjects: true });

/** A task or a method of an actor raised in another process. */
export class TaskError extends TwinkleError {
  /** Name of the class that was raised, with its module unless that is `builtins`. */
  readonly remoteType: string;
  /** `str()` of what was raised. */
  readonly remoteMessage: string;
  /** The traceback as it was formatted where it happened. */
  readonly remoteTraceback: string;
  /** Which task or actor it was. */
  readonly remoteWhere: string;

  /** @param packed what it came as: it travels on as it is */
  constructor(
    { type, message, traceback, where }: PackedError,
    readonly packed: Uint8Array,
  ) {
    const said = message === '' ? type : `${type}: ${message}`;
    super('TASK_FAILED', `${where} raised ${said}\n\nThe traceback over there:\n${traceback.trimEnd()}`, {
      details: { type, where },
    });
    this.remoteType = type;
    this.remoteMessage = message;
    this.remoteTraceback = traceback;
    this.remoteWhere = where;
  }
}

/** Errors of the package that come from Python as what they are: class there → code here. */
const OWN = /^twinkle_node\.errors\.\w+$/;
const CODE = / \[([A-Z_]+)\]$/;

/** The error of bytes of format `error`. */
export function errorOf(body: Uint8Array): Error {
  const report = packr.unpack(body) as PackedError;
  const code = OWN.test(report.type) ? CODE.exec(report.message)?.[1] : undefined;
  if (code === undefined || code === 'TASK_FAILED' || !isErrorCode(code))
    return new TaskError(report, new Uint8Array(body));
  return new TwinkleError(code, report.message.replace(CODE, ''), { details: { where: report.where } });
}

/** An error as a value. @param where what raised it, for people */
export function errorValue(
  error: Error,
  where: string,
): { readonly value: Value; readonly parts: readonly Uint8Array[] } {
  const code = error instanceof TwinkleError ? ` [${error.code}]` : '';
  const report: PackedError = {
    type: error instanceof TwinkleError ? 'twinkle_node.errors.TwinkleError' : error.name,
    message: `${error.message}${code}`,
    traceback: error.stack ?? '',
    where,
    pickled: null,
  };
  const packed = error instanceof TaskError ? error.packed : new Uint8Array(packr.pack(report));
  return { value: { f: 'error', s: [packed.byteLength], at: '', refs: [] }, parts: [packed] };
}

/** A call was cancelled before it had a result. */
export function cancelledError(where: string): TwinkleError {
  return new TwinkleError('ABORTED', `${where} was cancelled`);
}

/** The actor is dead, or (`RUNTIME_ENV`) could not be made. `details`: actor, class, node, pid, reason. */
export function actorDied(
  state: Pick<ActorState, 'id' | 'reason' | 'node' | 'pid' | 'code'>,
  cls: string,
  cause: Error | null,
): TwinkleError {
  const { id, reason, node, pid } = state;
  const where = `${node === '' ? '' : ` on node ${node}`}${pid > 0 ? `, pid ${pid}` : ''}`;
  const details = { actor: id, class: cls, node, pid: pid > 0 ? pid : null, reason, restarting: false };
  if (state.code === 'RUNTIME_ENV') return new TwinkleError('RUNTIME_ENV', `${cls}: ${reason}`, { details });
  const why = cause === null ? reason : `${reason}\n${cause.message}`;
  return new TwinkleError('ACTOR_DIED', `actor ${id} (${cls}${where}) is dead: ${why}`, {
    details,
    ...(cause === null ? {} : { cause }),
  });
}

/** This life of the actor ended before the call was answered; it comes back. */
export function actorInterrupted(id: string, cls: string, reason: string): TwinkleError {
  const details = { actor: id, class: cls, reason, restarting: true };
  return new TwinkleError('ACTOR_DIED', `actor ${id} (${cls}) was interrupted and is started again: ${reason}`, {
    details,
  });
}

/** The process that ran a task ended, and the task may not be tried again. */
export function workerDied(task: string, node: string, pid: number, how: string): TwinkleError {
  return new TwinkleError('WORKER_DIED', `the worker of ${task} ended on node ${node}, pid ${pid}: ${how}`, {
    details: { task, node, pid, how },
  });
}
